"""`prefix-cache`: a prompt goes to the pod that holds the KV cache of its longest prefix, unless that one drowns."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from math import sqrt
from operator import attrgetter
from random import Random
from time import monotonic
from typing import Annotated, Any, ClassVar

import xxhash
from msgspec import Meta

from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, any_of, least_in_flight
from aibrix_mw.strategies.prefix_table import PrefixTable, chain

SHARED_BLOCKS = 4
"""Leading blocks by which replicas that never talk to each other agree on a pod for a new prompt."""
BOUND = 1.25
"""Load relative to the mean up to which a pod takes new prompts; Mirrokni, Thorup, Zadimoghaddam, 2016."""

_Count = Annotated[int, Meta(ge=1)]
_Amount = Annotated[float, Meta(ge=0)]
_in_flight = attrgetter("in_flight")
_key = attrgetter("key")


class PrefixCache(Scorer):
    """The longest match wins among pods that are not overloaded; new prompts spread by rendezvous with bounded loads.

    The prompt is the raw bytes of `tools` and of `messages`, `prompt` or `input`, in blocks of `blockBytes` (128), at
    most `maxBlocks` (1024). When in_flight differs by more than `imbalance` (16), the pods with the fewest decide.
    A pod is overloaded above mean + `deviationFactor` (2) x standard deviation of in_flight, or when the prompt tokens
    that it still has to compute would take it more than `maxQueueSeconds` (5). Prompts shorter than a block go to
    least-request.
    """

    needs = frozenset({"uncached_prefill_seconds"})
    option_types: ClassVar[Mapping[str, Any]] = {
        "blockBytes": _Count,
        "maxBlocks": _Count,
        "imbalance": Annotated[int, Meta(ge=0)],
        "deviationFactor": _Amount,
        "maxQueueSeconds": _Amount,
    }

    def __init__(
        self,
        rng: Random | None = None,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(rng, options, clock)
        self.block_bytes: int = self.options.get("blockBytes", 128)
        self.max_blocks: int = self.options.get("maxBlocks", 1024)
        self.imbalance: int = self.options.get("imbalance", 16)
        self.deviation_factor: float = self.options.get("deviationFactor", 2.0)
        self.max_queue: float = self.options.get("maxQueueSeconds", 5.0)
        self.table = PrefixTable()

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The pod, with the share of the prompt that it holds."""
        hashes = self.blocks(request, pods)
        if not hashes:
            return Target(least_in_flight(pods, self.rng), fallback="short_prompt")
        now = self.clock()
        depths = self.table.match(hashes, now)
        pod = self._choose(request, pods, hashes, depths, now)
        self.table.insert(hashes, pod.uid, now)
        return Target(pod, match=depths.get(pod.uid, 0) / len(hashes))

    def _choose(
        self, request: InferenceRequest, pods: Pods, hashes: Sequence[int], depths: Mapping[str, int], now: float
    ) -> Pod:
        if len(pods) == 1:
            return pods[0]
        loads = list(map(_in_flight, pods))
        if max(loads) - min(loads) > self.imbalance:
            return least_in_flight(pods, self.rng)
        mean = sum(loads) / len(loads)
        holders = [(depths[pod.uid], pod) for pod in pods if pod.uid in depths] if depths else []
        if holders:
            deviation = sqrt(max(0.0, sum(load * load for load in loads) / len(loads) - mean * mean))
            limit = mean + self.deviation_factor * deviation
            able = [(depth, pod) for depth, pod in holders if pod.in_flight <= limit and not self._is_behind(pod, now)]
            if able:
                best = max((depth, -pod.in_flight) for depth, pod in able)
                return any_of([pod for depth, pod in able if (depth, -pod.in_flight) == best], self.rng)
        return rendezvous(pods, hashes[min(SHARED_BLOCKS, len(hashes)) - 1], BOUND * (mean + 1.0))

    def _is_behind(self, pod: Pod, now: float) -> bool:
        """Whether the prompts that the pod still has to compute would take it too long; unknown is no."""
        report = pod.metrics
        if report is None or report.expires <= now or report.uncached_prefill_seconds is None:
            return False
        return pod.outstanding_uncached * report.uncached_prefill_seconds > self.max_queue

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The share of the prompt that a pod does not hold; missing for prompts shorter than a block."""
        hashes = self.blocks(request, pods)
        if not hashes:
            return [None] * len(pods)
        depths = self.table.match(hashes, self.clock())
        return [1.0 - depths.get(pod.uid, 0) / len(hashes) for pod in pods]

    def chosen(self, request: InferenceRequest, pod: Pod, /, fallback: str | None = None) -> Target:
        """Note the choice of a list."""
        hashes, now = self.blocks(request, (pod,)), self.clock()
        if not hashes:
            return Target(pod, fallback=fallback)
        depth = self.table.match(hashes, now).get(pod.uid, 0)
        self.table.insert(hashes, pod.uid, now)
        return Target(pod, fallback=fallback, match=depth / len(hashes))

    def forget(self, pod: Pod, /) -> None:
        """Its cache has gone with it."""
        self.table.forget(pod.uid, self.clock())

    def blocks(self, request: InferenceRequest, pods: Pods) -> list[int]:
        """Chained hashes of the prompt's whole blocks; of another model or adapter they are others."""
        name = request.requested_model
        adapter = name if name != request.model and name in pods[0].info.adapters else ""
        return chain(request.prompt, _seed(request.model, adapter), self.block_bytes, self.max_blocks)


def rendezvous(pods: Pods, prompt: int, bound: float) -> Pod:
    """The pod with the highest hash of prompt and uid, among those with at most `bound` requests in flight.

    Every replica chooses the same, and one more pod takes over its share and nothing else. Source: Thaler and
    Ravishankar, 1998.
    """
    free = [pod for pod in pods if pod.in_flight <= bound]
    hashes = list(map(xxhash.xxh64_intdigest, map(_key, free), repeat(prompt)))
    return free[hashes.index(max(hashes))]


@lru_cache(maxsize=65536)
def _seed(model: str, adapter: str) -> int:
    return xxhash.xxh64_intdigest(b"%b\0%b" % (model.encode(), adapter.encode()))
