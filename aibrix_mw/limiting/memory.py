"""Windows counted in this process."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from aibrix_mw.limiting.quota import Hit, Quota, Quotas

_FEW = 1024


class Counts(Protocol):
    """What of `limits.aio.storage.MemoryStorage` is used: counts by key, and when each expires by `time.time`."""

    storage: Counter[str]
    expirations: dict[str, float]

    async def get(self, key: str) -> int:
        """The count of a key."""


class MemoryWindows:
    """Fixed windows of the clock in a `limits` MemoryStorage, which itself starts a window at its first hit.

    A count expires when its window ends, so that the storage's own `get` and `get_expiry` tell the truth. Everything
    is synchronous: nothing can come between looking and taking.
    """

    def __init__(self, storage: Counts, *, clock: Callable[[], float] = time.time) -> None:
        self.storage = storage
        self.clock = clock
        self._counts = storage.storage
        self._ends = storage.expirations
        self._crowded = _FEW

    def take(self, quotas: Quotas) -> Hit:
        """Take one hit of every quota, or of none; at least one quota."""
        now = self.clock()
        counts = self._counts
        tightest, least, ends = quotas[0], None, 0.0
        windows = []
        for quota in quotas:
            window = int(now // quota.per)
            end = self._open(quota, window)
            windows.append(window)
            room = (quota.limit - counts[quota.name]) // quota.cost
            if least is None or room < least:
                tightest, least, ends = quota, room, end
        assert least is not None
        if least <= 0:
            return Hit(quotas, tightest, tightest, 0, ends - now)
        for quota in quotas:
            counts[quota.name] += quota.cost
        return Hit(quotas, None, tightest, least - 1, ends - now, tuple(windows), self)

    def give(self, quota: Quota, window: int, amount: int) -> None:
        """Give back into a window, if it is still open, down to 0; a negative amount takes without asking."""
        if int(self.clock() // quota.per) == window:
            self._open(quota, window)
            self._counts[quota.name] = max(0, self._counts[quota.name] - amount)

    def _open(self, quota: Quota, window: int) -> float:
        """Make sure that the count is that of the window; returns when it ends."""
        name, end = quota.name, (window + 1) * quota.per
        if self._ends.get(name) != end:
            if len(self._ends) >= self._crowded:
                self._forget_closed()
            self._counts[name] = 0
            self._ends[name] = end
        return end

    def _forget_closed(self) -> None:
        now = self.clock()
        for name in [name for name, end in self._ends.items() if end <= now]:
            self._counts.pop(name, None)
            del self._ends[name]
        self._crowded = max(_FEW, 2 * len(self._ends))
