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
        if len(quotas) == 1:
            return self._take_one(quotas, quotas[0], now)
        windows = tuple([int(now // quota.per) for quota in quotas])
        ends = [self._open(quota, window) for quota, window in zip(quotas, windows, strict=True)]
        rooms = [(quota.limit - self._counts[quota.name]) // quota.cost for quota in quotas]
        least = min(rooms)
        at = rooms.index(least)
        tightest, reset = quotas[at], ends[at] - now
        if least <= 0:
            return Hit(quotas, tightest, tightest, 0, reset)
        for quota in quotas:
            self._counts[quota.name] += quota.cost
        return Hit(quotas, None, tightest, least - 1, reset, windows, self)

    def _take_one(self, quotas: Quotas, quota: Quota, now: float) -> Hit:
        """Do the same for the usual case, at half of the cost."""
        window = int(now // quota.per)
        end = self._open(quota, window)
        count = self._counts[quota.name]
        room = (quota.limit - count) // quota.cost
        if room <= 0:
            return Hit(quotas, quota, quota, 0, end - now)
        self._counts[quota.name] = count + quota.cost
        return Hit(quotas, None, quota, room - 1, end - now, (window,), self)

    def look(self, quotas: Quotas) -> tuple[tuple[int, ...], float]:
        """How much of each quota is taken in the window of now, and what the time is; changes nothing."""
        now = self.clock()
        ends = [(int(now // quota.per) + 1) * quota.per for quota in quotas]
        counts = [
            self._counts[quota.name] if self._ends.get(quota.name) == end else 0
            for quota, end in zip(quotas, ends, strict=True)
        ]
        return tuple(counts), now

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
