"""Two published algorithms as policies of the simulator, for comparison; written from their descriptions.

They stand in no table of the gateway. Each replica has a policy of its own, as replicas of those routers have.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

import xxhash

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Strategy, any_of, least_in_flight

_PIECE_BYTES = 64


class Insight(Protocol):
    """What an engine's KV events tell a router about the request that it is routing."""

    def blocks(self) -> tuple[int, ...]:
        """Hashes of the prompt's KV blocks."""

    def cached(self, uid: str) -> int:
        """How many leading ones the engine of this uid holds."""


class CacheAware(Strategy):
    """The Rust routers' cache-aware policy: an approximate prefix tree per worker, or the shortest queue.

    Out of balance (most - fewest in flight above `absolute`, and most above `relative` x fewest): the pod with the
    fewest. Else, when more than `threshold` of the text is in the tree of some pod: the pod with the longest match.
    Else the pod with the fewest. Source: the documentation of SMG, "Cache-Aware Routing". The tree here has edges of
    64 bytes instead of single characters, and no bound, since a simulated workload stays below theirs.
    """

    def set_up(self) -> None:
        """Nothing seen yet."""
        self.threshold: float = self.options.get("threshold", 0.5)
        self.absolute: float = self.options.get("absolute", 32)
        self.relative: float = self.options.get("relative", 1.1)
        self._seen: defaultdict[int, set[str]] = defaultdict(set)

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """Cache when in balance, queue otherwise."""
        pieces = _pieces(request.prompt)
        counts = [pod.in_flight for pod in pods]
        most, fewest = max(counts), min(counts)
        pod = None
        if not (most - fewest > self.absolute and most > self.relative * fewest):
            pod = self._matching(pieces, pods)
        pod = pod or least_in_flight(pods, self.rng)
        for piece in pieces:
            self._seen[piece].add(pod.uid)
        return Target(pod)

    def _matching(self, pieces: Sequence[int], pods: Pods) -> Pod | None:
        best, holders = 0, {pod.uid for pod in pods}
        for piece in pieces:
            still = holders & self._seen.get(piece, set())
            if not still:
                break
            best, holders = best + 1, still
        if best <= self.threshold * len(pieces):
            return None
        return any_of([pod for pod in pods if pod.uid in holders], self.rng)


class KVCost(Strategy):
    """The KV-cost policy: the pod with the least `weight` x blocks still to prefill + blocks in use.

    What an engine has cached comes from its KV events (here: without delay or loss); what it uses is tracked by the
    router itself, the blocks of the request included. Source: the design documentation of NVIDIA Dynamo's KV router,
    with its defaults (weight 1, temperature 0, no synchronisation of replicas). Option `insight`: an `Insight`.
    """

    def set_up(self) -> None:
        """Nothing running yet."""
        self.weight: float = self.options.get("weight", 1.0)
        self.insight: Insight = self.options["insight"]
        self._active: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._running: dict[int, tuple[int, ...]] = {}

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The cheapest pod."""
        blocks = self.insight.blocks()
        costs = [self._cost(pod.uid, blocks) for pod in pods]
        least = min(costs)
        pod = any_of([pod for pod, cost in zip(pods, costs, strict=True) if cost == least], self.rng)
        self._active[pod.uid].update(blocks)
        self._running[id(request)] = blocks
        return Target(pod)

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Its blocks are no longer in use."""
        active = self._active[target.pod.uid]
        for block in self._running.pop(id(request)):
            active[block] -= 1
            if not active[block]:
                del active[block]

    def _cost(self, uid: str, blocks: tuple[int, ...]) -> float:
        active = self._active[uid]
        in_use = len(active) + sum(1 for block in blocks if block not in active)
        return self.weight * (len(blocks) - self.insight.cached(uid)) + in_use


def _pieces(text: bytes) -> list[int]:
    pieces, seed = [], 0
    for start in range(0, len(text), _PIECE_BYTES):
        seed = xxhash.xxh64_intdigest(text[start : start + _PIECE_BYTES], seed)
        pieces.append(seed)
    return pieces


PEERS: dict[str, str | type[Strategy]] = {"cache-aware": CacheAware, "kv-cost": KVCost}
