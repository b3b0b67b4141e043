"""`vtc-basic`: users share the fleet fairly, by tokens."""

from collections.abc import Mapping, Sequence
from heapq import nlargest
from math import ceil
from operator import attrgetter, itemgetter
from typing import Annotated, Any, ClassVar, Self
from weakref import WeakKeyDictionary

from msgspec import Meta

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, least_in_flight
from aibrix_mw.strategies.sliding import SlidingSums

OUTPUT_WEIGHT = 2.0
SMALLEST_BUCKET = 1000.0
FIRST_BUCKET = (1000.0 + 8000.0) / 2
FULL = 100  # requests in flight that count as a fully used pod
NOISE = 0.1
TOLD = 1000

_Weight = Annotated[float, Meta(ge=0)]
_by_uid = attrgetter("uid")


class VtcBasic(Scorer):
    """Score of pod i of n, in the order of uids: fairness + utilisation + U(0, 0.1).

    fairness = |i - min(tokens / bucket, n - 1)| / max(n - 1, 1), utilisation = min(in_flight / 100, 1). Tokens are
    what the user was charged within the window (`windowSeconds`, 300): input + 2 x output, estimated as
    ceil(bytes / 4) and ceil(1.5 x input) when the request is routed, replaced by the engine's count at its end.
    bucket = max(1000, (fewest + most of all users) / 2), 4500 while there are none. So users of about the same
    consumption share pods, and one who takes much more does not stand in everybody's way. `fairnessWeight` (1) and
    `utilizationWeight` (2) weigh the terms; with 1 for both, users alike crowd one pod until it has a third of 100
    requests more than the next, seen by each replica, and its KV cache is full before. A request without a user goes to
    least-request.

    Where replicas share a store, what the others charged counts too; of at most 1,000 users, those with the most.

    After "Fairness in Serving Large Language Models" (Sheng et al., arXiv 2401.00588).
    """

    counts_tokens = True
    option_types: ClassVar[Mapping[str, Any]] = {
        "fairnessWeight": _Weight,
        "utilizationWeight": _Weight,
        "windowSeconds": Annotated[float, Meta(gt=0)],
    }

    def set_up(self) -> None:
        """Weights, and nobody charged yet."""
        self.fairness_weight: float = self.options.get("fairnessWeight", 1.0)
        self.utilization_weight: float = self.options.get("utilizationWeight", 2.0)
        self.tokens = SlidingSums(self.options.get("windowSeconds", 300.0))
        # when each request was charged: once, however many pods are tried
        self._charged: WeakKeyDictionary[InferenceRequest, float] = WeakKeyDictionary()

    def rehearsal(self) -> Self:
        """A twin that reads the same accounts."""
        return self.twin()

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The pod with the lowest score."""
        if not request.user:
            return Target(least_in_flight(pods, self.rng), fallback="no_user")
        return super().pick(request, pods)

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """Weighted sum of fairness, utilisation and noise; missing without a user."""
        if not request.user:
            return [None] * len(pods)
        wanted = min(self._share(request.user), len(pods) - 1)
        scale = self.fairness_weight / max(len(pods) - 1, 1)
        load = self.utilization_weight / FULL
        random = self.rng.random
        scores = {
            pod: abs(index - wanted) * scale + min(pod.in_flight, FULL) * load + random() * NOISE
            for index, pod in enumerate(sorted(pods, key=_by_uid))
        }
        return [scores[pod] for pod in pods]

    def _share(self, user: str) -> float:
        """The user's tokens in buckets."""
        now = self.clock()
        bounds = self.tokens.bounds(now)
        bucket = FIRST_BUCKET if bounds is None else max(SMALLEST_BUCKET, sum(bounds) / 2)
        return self.tokens.of(user, now) / bucket

    def chosen(self, request: InferenceRequest, pod: Pod, /, fallback: str | None = None) -> Target:
        """Charge the user with the estimate."""
        if request.user and request not in self._charged and not self.rehearsing:
            now = self._charged[request] = self.clock()
            self.tokens.add(request.user, _estimate(request), now)
        return Target(pod, fallback=fallback)

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Replace the estimate by what the engine has counted."""
        at = self._charged.pop(request, None)
        if at is None or request.user is None or outcome.prompt_tokens is None:
            return
        real = outcome.prompt_tokens + OUTPUT_WEIGHT * (outcome.completion_tokens or 0)
        self.tokens.add(request.user, real - _estimate(request), self.clock(), at)

    def tell(self) -> Mapping[str, float]:
        """Tokens by user, as charged here."""
        own = self.tokens.own(self.clock())
        return dict(nlargest(TOLD, own.items(), key=itemgetter(1))) if len(own) > TOLD else own

    def hear(self, elsewhere: Mapping[str, float], /) -> None:
        """Add the tokens that other gateways have charged."""
        self.tokens.hear(elsewhere)


def _estimate(request: InferenceRequest) -> float:
    """Weighted tokens that a request will probably take."""
    return request.prompt_tokens + OUTPUT_WEIGHT * ceil(1.5 * request.prompt_tokens)
