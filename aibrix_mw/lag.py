"""How late the event loop is: the sign that a process has more to do than it can."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aibrix_mw.lifecycle import Lifecycle

logger = logging.getLogger("aibrix_mw")

SAMPLES = 5
"""Samples within the largest lag that is allowed: so soon is it seen, and so soon is it over."""
SHORTEST = 0.01
QUIET = 10.0
"""Seconds between two log lines: a process at its limit is over it and below it by turns."""


class LoopLag:
    """Sets `lifecycle.lagging` while samples come more than `largest` seconds too late.

    A sample is due every `interval` seconds, whatever the number of requests. A first one that is late counts if the
    loop's own thread has been busy with its work for as long: else somebody else had the processor, or the search for
    garbage had the thread, which is over then, unless the next one is late too. Requests that arrive in a long turn of
    the loop are taken up after the sample that was due in it, so that it judges them.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        largest: float,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        busy: Callable[[], float] | None = None,
    ) -> None:
        self.lifecycle = lifecycle
        self.largest = largest
        self.interval = max(largest / SAMPLES, SHORTEST)
        self._clock = clock
        self._sleep = sleep
        self._busy = busy
        self._late = False
        self._told: float | None = None

    async def run(self) -> None:
        """Sample until cancelled."""
        clock = self._clock or asyncio.get_running_loop().time
        try:
            with working_time() as working:
                busy = self._busy or working
                while True:
                    due, worked = clock() + self.interval, busy()
                    await self._sleep(self.interval)
                    self.see(clock() - due, busy() - worked, clock())
        finally:
            self.lifecycle.lagging = False

    def see(self, lag: float, busy: float, now: float) -> None:
        """Judge one sample: how late it came at `now`, and how much of that time the thread has worked."""
        late = lag > self.largest
        self.lifecycle.lagging = lagging = late and (self._late or busy > self.largest)
        self._late = late
        if lagging and (self._told is None or now - self._told >= QUIET):
            self._told = now
            logger.warning("the event loop is %.2f s late: requests are refused until it has caught up", lag)


@contextmanager
def working_time() -> Iterator[Callable[[], float]]:
    """A clock of this thread's processor time that stands still while all of the heap is searched for garbage.

    That takes as long as there are objects, 0.3 s with 8,000 streams open, and tells nothing of the load.
    """
    begun = searched = 0.0
    thread = threading.get_ident()

    def collecting(phase: str, info: dict[str, Any]) -> None:
        nonlocal begun, searched
        if info["generation"] < 2 or threading.get_ident() != thread:
            return
        if phase == "start":
            begun = time.thread_time()
        else:
            searched += time.thread_time() - begun

    gc.callbacks.append(collecting)
    try:
        yield lambda: time.thread_time() - searched
    finally:
        gc.callbacks.remove(collecting)
