"""Sums over a sliding window, by key."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping

_NOTHING = 1e-9


class SlidingSums:
    """Amounts by key over the last `window` seconds, with the smallest and the largest sum always at hand.

    Amounts of one key within one `slot` count from the slot's beginning: the window's resolution. What was added is
    taken out when it is older than the window; a key without anything left is forgotten. At most `keys` keys are kept,
    the one that was charged longest ago is forgotten first: keys may be written by clients. What others have counted
    (`hear`) is a part of every sum.
    """

    def __init__(self, window: float, *, slots: int = 300, keys: int = 10_000) -> None:
        self.window = window
        self.slot = window / slots
        self.keys = keys
        self._own: dict[str, float] = {}
        self._elsewhere: Mapping[str, float] = {}
        self._sums: dict[str, float] = {}
        self._sorted: list[float] = []
        self._amounts: dict[tuple[str, int], float] = {}
        self._order: deque[tuple[str, int]] = deque()

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, key: str, amount: float, now: float, at: float | None = None) -> None:
        """Add an amount, negative ones too, as of the moment `at`; what lies before the window is left out."""
        self._expire(now)
        slot = int((now if at is None else at) // self.slot)
        if self._is_old(slot, now):
            return
        if (key, slot) not in self._amounts:
            self._amounts[key, slot] = 0.0
            if at is None or not self._order or self._order[-1][1] <= slot:
                self._order.append((key, slot))
            else:
                insort(self._order, (key, slot), key=lambda entry: entry[1])
        self._amounts[key, slot] += amount
        self._change(key, amount)
        while len(self._own) > self.keys:
            self._drop_oldest()

    def of(self, key: str, now: float) -> float:
        """The key's sum; 0 when nothing is known of it."""
        self._expire(now)
        return self._sums.get(key, 0.0)

    def read(self, now: float) -> Mapping[str, float]:
        """All sums by key."""
        self._expire(now)
        return self._sums

    def own(self, now: float) -> Mapping[str, float]:
        """The sums of what was added here."""
        self._expire(now)
        return self._own

    def hear(self, elsewhere: Mapping[str, float]) -> None:
        """Replace what others have counted."""
        if not elsewhere and not self._elsewhere:
            return
        self._elsewhere = elsewhere
        self._sums = dict(self._own)
        for key, sum_ in elsewhere.items():
            if sum_ > _NOTHING:
                self._sums[key] = self._sums.get(key, 0.0) + sum_
        self._sorted = sorted(self._sums.values())

    def bounds(self, now: float) -> tuple[float, float] | None:
        """The smallest and the largest sum; None while there is no key."""
        self._expire(now)
        return (self._sorted[0], self._sorted[-1]) if self._sorted else None

    def _is_old(self, slot: int, now: float) -> bool:
        return slot * self.slot <= now - self.window

    def _expire(self, now: float) -> None:
        while self._order and self._is_old(self._order[0][1], now):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        entry = self._order.popleft()
        self._change(entry[0], -self._amounts.pop(entry))

    def _change(self, key: str, amount: float) -> None:
        own = self._own.get(key, 0.0) + amount
        if own > _NOTHING:
            self._own[key] = own
        else:
            self._own.pop(key, None)
        before = self._sums.get(key)
        if before is not None:
            del self._sorted[bisect_left(self._sorted, before)]
        after = (before or 0.0) + amount
        if after > _NOTHING:
            self._sums[key] = after
            insort(self._sorted, after)
        elif before is not None:
            del self._sums[key]
