"""Whether the store is worth asking."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("aibrix_mw")

CONNECT_TIMEOUT = 1.0  # nobody waits for a probe, so it may take the time that a new connection takes


class Breaker:
    """Takes the store for away after `failures` in a row, and then asks it every `pause` seconds until it answers.

    `probe` does what a call does and raises where that fails; of a store that is back it has to do so within `timeout`
    seconds. `consequence` is what the log says happens meanwhile. One line is logged when the store is taken for away,
    and one when it is back.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        *,
        timeout: float = 0.05,
        failures: int = 5,
        pause: float = 5.0,
        consequence: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.probe = probe
        self.timeout = timeout
        self.failures = failures
        self.pause = pause
        self.consequence = consequence
        self.sleep = sleep
        self.away: str | None = None
        """Why the store is taken for away; None: it is asked."""
        self._failed = 0
        self._probing: asyncio.Task[None] | None = None

    def succeeded(self) -> None:
        """Hear that a call was answered."""
        self._failed = 0

    def failed(self, error: BaseException, *, at_once: bool = False) -> None:
        """Hear that a call was not; `at_once` does not wait for more of that."""
        self._failed += 1
        if self.away is None and (at_once or self._failed >= self.failures):
            self.away = f"{type(error).__name__}: {error}".rstrip(": ")
            logger.error("the store is away (%s)%s", self.away, self.consequence)
            self._probing = asyncio.get_running_loop().create_task(self._probe_until_back())

    async def start(self) -> None:
        """Look whether the store is there, so that the first request need not."""
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001 - whatever a client library raises
            self.failed(error, at_once=True)

    async def aclose(self) -> None:
        """End probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        self.away, self._failed = None, 0

    async def _probe_until_back(self) -> None:
        while self.away is not None:
            await self.sleep(self.pause)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - whatever a client library raises
                self.away = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                self.away, self._failed = None, 0
                logger.warning("the store is back")

    async def _look(self) -> None:
        async with asyncio.timeout(max(CONNECT_TIMEOUT, self.timeout)):
            await self.probe()
        async with asyncio.timeout(self.timeout):
            await self.probe()
