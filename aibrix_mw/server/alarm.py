"""One timer of the event loop for all the deadlines of a connection, most of which are met."""

import asyncio
from collections.abc import Callable
from math import inf


def _silence() -> None: ...


class Alarm:
    """Calls back when the time that was set last has passed.

    A timer is only ever moved forward: where deadlines follow each other, each a bit later, one timer serves many.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self.due = inf  # in the loop's time; set it to infinity to call nothing off but the callback
        self._loop = loop
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._rings = inf

    def set(self, seconds: float) -> None:
        """Ring in so many seconds instead of whenever it was to be."""
        self.due = due = self._loop.time() + seconds
        if due < self._rings:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = due
            self._timer = self._loop.call_later(seconds, self._ring)

    def cancel(self) -> None:
        """Never ring again."""
        self.due = self._rings = inf
        self._callback = _silence  # its owner's method: without it nothing leads back there
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._rings = inf
        if self.due == inf:
            return
        left = self.due - self._loop.time()
        if left > 0.0:
            self.set(left)
        else:
            self.due = inf
            self._callback()
