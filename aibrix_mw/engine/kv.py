"""The KV cache: a bounded number of blocks, shared by prompts that begin alike.

Blocks are in one of three states: private to a running request, published (their hash is known) and held by one or
more, or published and idle. Idle ones stay until the room is needed, the least recently used first out.
"""

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lease:
    """What one running request holds: `private` blocks, and `shared` ones by hash. `hits` were there before it came."""

    hashes: tuple[int, ...]
    hits: int
    private: int
    shared: list[int] = field(default_factory=list)


class KVCache:
    """`capacity` blocks. Callers ask `fits` first; `take` relies on it."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._holders: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._private = 0

    @property
    def used(self) -> int:
        """Blocks held by running requests. Idle cached blocks are free for the taking, so they do not count."""
        return self._private + len(self._holders)

    @property
    def cached(self) -> int:
        """Published blocks, held or idle."""
        return len(self._holders) + len(self._idle)

    def hits(self, hashes: tuple[int, ...]) -> int:
        """How many leading blocks are published."""
        return len(self._leading(hashes))

    def fits(self, hashes: tuple[int, ...], blocks: int) -> bool:
        """Whether a request of so many blocks can start now."""
        already_held = sum(1 for key in self._leading(hashes) if key in self._holders)
        return self.used + blocks - already_held <= self.capacity

    def take(self, hashes: tuple[int, ...], blocks: int) -> Lease:
        """Hold `blocks` blocks, of which as many leading ones as are published come with their content."""
        shared = self._leading(hashes)
        for key in shared:
            self._hold(key)
        lease = Lease(hashes, hits=len(shared), private=blocks - len(shared), shared=shared)
        self._private += lease.private
        self._evict()
        return lease

    def publish(self, lease: Lease) -> None:
        """Offer the lease's prompt blocks to others, now that they are computed."""
        computed = lease.hashes[len(lease.shared) :]
        for key in computed:
            self._hold(key)
        lease.shared.extend(computed)
        lease.private -= len(computed)
        self._private -= len(computed)

    def release(self, lease: Lease) -> None:
        """End the lease; what it published stays cached as long as there is room."""
        self._private -= lease.private
        # The end of a prefix goes first when room is needed: without its beginning it is of no use.
        for key in reversed(lease.shared):
            self._drop(key)

    def _leading(self, hashes: tuple[int, ...]) -> list[int]:
        leading = []
        for key in hashes:
            if key not in self._holders and key not in self._idle:
                break
            leading.append(key)
        return leading

    def _hold(self, key: int) -> None:
        self._idle.pop(key, None)
        self._holders[key] = self._holders.get(key, 0) + 1

    def _drop(self, key: int) -> None:
        left = self._holders.pop(key) - 1
        if left:
            self._holders[key] = left
        else:
            self._idle[key] = None

    def _evict(self) -> None:
        while self.used + len(self._idle) > self.capacity:
            self._idle.popitem(last=False)
