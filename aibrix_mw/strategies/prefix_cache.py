"""`prefix-cache`: a prompt goes to the pod that holds the KV cache of its longest prefix, unless that one drowns."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from math import sqrt
from operator import attrgetter
from random import Random
from typing import Annotated, Any, ClassVar, Self

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
PATIENCE = 0.5
"""Of the prompt tokens that a match saves, the share that may wait in front of it: not all of them, since a replica
sees only its own part of the queue."""
NOTHING_SHARED = 0.1
"""Share of prompts with any match below which new ones go by load alone: a home is of no use to them."""
_NEWEST = 0.02  # weight of one more prompt in that share

_Amount = Annotated[float, Meta(ge=0)]
_key = attrgetter("key")
_queue = attrgetter("outstanding_uncached")
_in_flight = attrgetter("in_flight")
_wait = attrgetter("outstanding_uncached", "in_flight")


class PrefixCache(PrefixScorer):
    """The longest match wins among pods that are not overloaded; new prompts spread by rendezvous with bounded loads.

    A pod is overloaded for a prompt of which it holds the share m above mean + m x `deviationFactor` (2) x standard
    deviation of in_flight; when m x prompt tokens / 2 are less than it has more to compute than the pod with the least;
    or when that would take it more than `maxQueueSeconds` (5). The fewer prompts share anything, the less a new one's
    home may be above the least loaded pod, so that prompts without a prefix in common are spread as least-request does.
    """

    needs = frozenset({"uncached_prefill_seconds"})
    option_types: ClassVar[Mapping[str, Any]] = {
        **PrefixScorer.option_types,
        "deviationFactor": _Amount,
        "maxQueueSeconds": _Amount,
    }

    def set_up(self) -> None:
        """Options, and nothing known of the prompts' likeness."""
        super().set_up()
        self.deviation_factor: float = self.options.get("deviationFactor", 2.0)
        self.max_queue: float = self.options.get("maxQueueSeconds", 5.0)
        self._sharing: dict[str, float] = {}  # share of a model's prompts that have had any match

    def rehearsal(self) -> Self:
        """A twin with a share of its own."""
        other = super().rehearsal()
        other._sharing = dict(self._sharing)
        return other

    def among(
        self, request: InferenceRequest, pods: Pods, loads: Sequence[int], hashes: Sequence[int], depths: Depths
    ) -> Pod:
        """The deepest match that has room, the soonest ready one of equals; without any, a new home."""
        sharing = self._sharing.get(request.model, 1.0)
        sharing += _NEWEST * ((1.0 if depths else 0.0) - sharing)
        self._sharing[request.model] = sharing
        mean = sum(loads) / len(loads)
        holder = self._holder(request, pods, loads, len(hashes), depths) if depths else None
        if holder is not None:
            return holder
        if sharing < NOTHING_SHARED:
            return soonest(pods, self.rng)
        least = min(loads)
        bound = least + sharing * (BOUND * (mean + 1.0) - least)
        return rendezvous(pods, hashes[min(SHARED_BLOCKS, len(hashes)) - 1], bound)

    def _holder(
        self, request: InferenceRequest, pods: Pods, loads: Sequence[int], blocks: int, depths: Depths
    ) -> Pod | None:
        """The pod with the deepest match among those that are not overloaded for what it saves."""
        mean = sum(loads) / len(loads)
        deviation = sqrt(max(0.0, sum(load * load for load in loads) / len(loads) - mean * mean))
        # both for one block of the match
        allowance = self.deviation_factor * deviation / blocks
        saving = PATIENCE * request.prompt_tokens / blocks
        shortest = min(map(_queue, pods))
        now, get = self.clock(), depths.get
        able = [
            (depth, pod)
            for pod in pods
            if (depth := get(pod.uid, 0))
            and pod.in_flight <= mean + allowance * depth
            and pod.outstanding_uncached - shortest <= saving * depth
            and not self._is_behind(pod, now)
        ]
        if not able:
            return None
        deepest = max(depth for depth, _ in able)
        return soonest([pod for depth, pod in able if depth == deepest], self.rng)

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


def soonest(pods: Pods, rng: Random) -> Pod:
    """The pod with the fewest prompt tokens to compute, of those with hardly more requests than the fewest."""
    bound = BOUND * (min(map(_in_flight, pods)) + 1.0)
    near = [pod for pod in pods if pod.in_flight <= bound]
    least = min(map(_wait, near))
    return any_of([pod for pod in near if _wait(pod) == least], rng)


def rendezvous(pods: Pods, prompt: int, bound: float) -> Pod:
    """The pod with the highest hash of prompt and uid, among those with at most `bound` requests in flight.

    Every replica chooses the same, and one more pod takes over its share and nothing else. Source: Thaler and
    Ravishankar, 1998.
    """
    free = [pod for pod in pods if pod.in_flight <= bound]
    hashes = list(map(xxhash.xxh64_intdigest, map(_key, free), repeat(prompt)))
    return free[hashes.index(max(hashes))]
