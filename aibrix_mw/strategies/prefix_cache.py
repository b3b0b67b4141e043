"""`prefix-cache`: a prompt goes to the pod that holds the KV cache of its longest prefix, unless that one drowns."""

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from math import sqrt
from operator import attrgetter
from random import Random
from time import monotonic
from typing import Annotated, Any, ClassVar

import xxhash
from msgspec import Meta

from aibrix_mw.pods.pod import Pod
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, any_of
from aibrix_mw.strategies.prefix import Depths, PrefixScorer

SHARED_BLOCKS = 4
"""Leading blocks by which replicas that never talk to each other agree on a pod for a new prompt."""
BOUND = 1.25
"""Load relative to the mean up to which a pod takes new prompts; Mirrokni, Thorup, Zadimoghaddam, 2016."""

_Amount = Annotated[float, Meta(ge=0)]
_key = attrgetter("key")


class PrefixCache(PrefixScorer):
    """The longest match wins among pods that are not overloaded; new prompts spread by rendezvous with bounded loads.

    A pod is overloaded above mean + `deviationFactor` (2) x standard deviation of in_flight, or when the prompt tokens
    that it still has to compute would take it more than `maxQueueSeconds` (5).
    """

    needs = frozenset({"uncached_prefill_seconds"})
    option_types: ClassVar[Mapping[str, Any]] = {
        **PrefixScorer.option_types,
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
        self.deviation_factor: float = self.options.get("deviationFactor", 2.0)
        self.max_queue: float = self.options.get("maxQueueSeconds", 5.0)

    def among(
        self, request: InferenceRequest, pods: Pods, loads: Sequence[int], hashes: Sequence[int], depths: Depths
    ) -> Pod:
        """The deepest match that has room, the least loaded one of equals; without any, a new home."""
        mean = sum(loads) / len(loads)
        holders = [(depths[pod.uid], pod) for pod in pods if pod.uid in depths] if depths else []
        if holders:
            deviation = sqrt(max(0.0, sum(load * load for load in loads) / len(loads) - mean * mean))
            limit, now = mean + self.deviation_factor * deviation, self.clock()
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


def rendezvous(pods: Pods, prompt: int, bound: float) -> Pod:
    """The pod with the highest hash of prompt and uid, among those with at most `bound` requests in flight.

    Every replica chooses the same, and one more pod takes over its share and nothing else. Source: Thaler and
    Ravishankar, 1998.
    """
    free = [pod for pod in pods if pod.in_flight <= bound]
    hashes = list(map(xxhash.xxh64_intdigest, map(_key, free), repeat(prompt)))
    return free[hashes.index(max(hashes))]
