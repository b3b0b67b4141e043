"""The retry budget: failures of many pods at once must not multiply the load."""

import time
from collections.abc import Callable
from typing import ClassVar

_ROUNDING = 1e-6  # five requests of 0.2 are a retry


class RetryBudget:
    """A bucket of retries.

    Each request adds `ratio`, each second adds `floor`; a retry takes one. The bucket holds at most ten seconds of
    the floor plus `ratio` for each request of the last ten seconds, and starts with the floor's part. After Finagle's
    RetryBudget.
    """

    WINDOW: ClassVar[int] = 10

    def __init__(self, ratio: float = 0.2, floor: float = 3.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.ratio = ratio
        self.floor = floor
        self.clock = clock
        self.balance = self.WINDOW * floor
        self._refilled = clock()
        self._counts = [0] * self.WINDOW
        self._second = int(self._refilled)

    def request(self) -> None:
        """Count one request."""
        if self.clock() >= self._second + 1:
            self._advance()
        self._counts[self._second % self.WINDOW] += 1
        self.balance += self.ratio

    def take(self) -> bool:
        """Take one retry if there is one."""
        self._advance()
        self.balance = min(self.balance, self.WINDOW * self.floor + self.ratio * sum(self._counts))
        if self.balance < 1.0 - _ROUNDING:
            return False
        self.balance -= 1.0
        return True

    def _advance(self) -> None:
        """Add what the time since the last call is worth; forget requests of more than ten seconds ago."""
        now = self.clock()
        self.balance += (now - self._refilled) * self.floor
        self._refilled = now
        second = int(now)
        for passed in range(max(self._second + 1, second - self.WINDOW + 1), second + 1):
            self._counts[passed % self.WINDOW] = 0
        self._second = second
