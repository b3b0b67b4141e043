"""Which pod was sent which prompt prefix, and when: a radix tree, flattened into a table of chained hashes."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import xxhash

Hashes = Sequence[int]

MAX_AGE = 20 * 60.0
"""Seconds after which an engine has probably let go of what nobody has asked for."""

_xxh64 = xxhash.xxh64_intdigest


def chain(text: bytes, seed: int, block_bytes: int, max_blocks: int) -> list[int]:
    """Hashes of the leading whole blocks; each covers all blocks before it, so that a change alters all that follow."""
    hashes: list[int] = []
    for end in range(block_bytes, min(len(text), block_bytes * max_blocks) + 1, block_bytes):
        seed = _xxh64(text[end - block_bytes : end], seed)
        hashes.append(seed)
    return hashes


class Run:
    """Consecutive blocks of a prompt that the same pods were sent at the same times: `holders` is uid -> when."""

    __slots__ = ("hashes", "holders", "used")

    def __init__(self, hashes: list[int], holders: dict[str, float], used: float) -> None:
        self.hashes = hashes
        self.holders = holders
        self.used = used


class PrefixTable:
    """Hash -> run, bounded: the least recently used run goes first, and whatever is older than 20 minutes.

    A look-up costs as many steps as the prompt has runs, which are few, whatever its length; so does an insertion,
    but for the table's own C loop over the hashes.
    """

    def __init__(self, size: int = 200_000, max_age: float = MAX_AGE) -> None:
        self.size = size
        self.max_age = max_age
        self._runs: dict[int, Run] = {}
        self._used: OrderedDict[Run, None] = OrderedDict()  # least recently used first
        self._gone: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def match(self, hashes: Hashes, now: float) -> dict[str, int]:
        """How many contiguous leading blocks each pod holds, by uid; a pod that holds none is not in it."""
        depths: dict[str, int] = {}
        depth = 0
        for run, length in self._walk(hashes):
            holders = self._holders(run, now)
            # only who holds everything before this run goes on
            going = holders if depth == 0 else [uid for uid in holders if depths.get(uid) == depth]
            if not going:
                break
            depth += length
            for uid in going:
                depths[uid] = depth
        return depths

    def insert(self, hashes: Hashes, uid: str, now: float) -> None:
        """Note that the pod was sent these blocks."""
        done = 0
        fresh: list[Run] = []
        for run, length in list(self._walk(hashes)):
            holders = {**self._holders(run, now), uid: now}
            self._cut(run, length)
            self._extend(fresh, hashes[done : done + length], holders, now)
            done += length
        if done < len(hashes):
            self._extend(fresh, hashes[done:], {uid: now}, now)
        for run in reversed(fresh):  # the leading blocks are the last to go
            self._runs.update(dict.fromkeys(run.hashes, run))
            self._used[run] = None
        self._make_room(now)

    def forget(self, uid: str, now: float) -> None:
        """Let go of a pod: what it was sent until now, it does not hold any more."""
        self._gone[uid] = now
        for other in [other for other, when in self._gone.items() if when < now - self.max_age]:
            del self._gone[other]

    def _holders(self, run: Run, now: float) -> dict[str, float]:
        oldest = now - self.max_age
        if not self._gone and min(run.holders.values()) > oldest:
            return run.holders
        gone = self._gone
        return {uid: when for uid, when in run.holders.items() if when > max(oldest, gone.get(uid, oldest))}

    def _walk(self, hashes: Hashes) -> Iterator[tuple[Run, int]]:
        """The known runs along a prompt, with how many of each one's leading blocks the prompt has."""
        at = 0
        while at < len(hashes):
            run = self._runs.get(hashes[at])
            if run is None or run.hashes[0] != hashes[at]:
                return
            length = _common(run.hashes, hashes, at)
            yield run, length
            at += length

    def _cut(self, run: Run, length: int) -> None:
        """Take the leading blocks out of a run; what is left keeps its age."""
        if length == len(run.hashes):
            del self._used[run]
        else:
            del run.hashes[:length]

    @staticmethod
    def _extend(fresh: list[Run], hashes: Hashes, holders: dict[str, float], now: float) -> None:
        if fresh and fresh[-1].holders == holders:
            fresh[-1].hashes += hashes
        else:
            fresh.append(Run(list(hashes), holders, now))

    def _make_room(self, now: float) -> None:
        while self._used:
            run = next(iter(self._used))
            if len(self._runs) <= self.size and run.used >= now - self.max_age:
                break
            del self._used[run]
            for block in run.hashes:
                if self._runs.get(block) is run:
                    del self._runs[block]


def _common(one: Hashes, other: Hashes, at: int) -> int:
    """Length of the common start of `one` and `other[at:]`; equal hashes have equal hashes before them."""
    low, high = 1, min(len(one), len(other) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if one[middle - 1] == other[at + middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low
