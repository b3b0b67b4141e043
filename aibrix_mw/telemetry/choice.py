"""How a pod was chosen, written down for people."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from time import time_ns

import msgspec

from aibrix_mw.errors import GatewayError
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.exclusion import exclusion
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Failure, Pods, Strategy
from aibrix_mw.strategies.plan import Plan

SHOWN = 5


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One pick. `begun` and `ended` are nanoseconds since the epoch.

    Of the `known` pods of the model `ready` may take requests, and `routable` were the strategy's candidates;
    `excluded` says why the others were none (see `exclusion`), and how many. `scores` are those of the best five pods,
    best first; `refusal` is the outcome of a request for which there was no target.
    """

    strategy: str
    begun: int
    ended: int
    known: int
    ready: int
    routable: int
    excluded: Mapping[str, int]
    scores: Sequence[tuple[str, float]] = ()
    target: Target | None = None
    refusal: str | None = None


class Explained(Strategy):
    """The strategy of a plan, with its choices for one request written down: `choices`, in order."""

    def __init__(self, plan: Plan, registry: PodRegistry, ejected: Callable[[], Iterable[Pod]]) -> None:
        self.inner = plan.strategy
        self.needs = self.inner.needs
        self.counts_tokens = self.inner.counts_tokens
        self.two_legs = self.inner.two_legs
        self.choices: list[Choice] = []
        self._plan = plan
        self._registry = registry
        self._ejected = ejected
        self._tried: list[Pod] = []

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The strategy's own choice."""
        if self.two_legs:
            self.choices.clear()  # it is asked until it finds a pair, for the first attempt only
        begun = time_ns()
        scores = self._best(pods, self.inner.explain(request, pods))
        target, refusal = None, None
        try:
            target = self.inner.pick(request, pods)
        except GatewayError as error:
            refusal = error.outcome
            raise
        finally:
            self._write_down(request, pods, begun, scores, target, refusal)
        self._tried.append(target.pod)
        return target

    def again(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """One more target of the same kind."""
        begun = time_ns()
        target = self.inner.again(request, pods, failures)
        if target is not None:
            self._write_down(request, pods, begun, (), target, None)
        return target

    def alone(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """One pod for both legs."""
        begun = time_ns()
        target = self.inner.alone(request, pods, failures)
        if target is not None:
            self._write_down(request, pods, begun, (), target, None)
        return target

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Pass on how the request ended."""
        self.inner.observe(request, target, outcome)

    def _write_down(
        self,
        request: InferenceRequest,
        pods: Pods,
        begun: int,
        scores: Sequence[tuple[str, float]],
        target: Target | None,
        refusal: str | None,
    ) -> None:
        ended = time_ns()
        members = self._registry.members(request.model)
        offered, plan = set(pods), self._plan
        ejected = frozenset(self._ejected())
        excluded = Counter(
            exclusion(pod, tried=self._tried, selector=plan.selector, max_in_flight=plan.max_in_flight, ejected=ejected)
            for pod in members
            if pod not in offered
        )
        choice = Choice(
            strategy=plan.strategy_name,
            begun=begun,
            ended=ended,
            known=len(members),
            ready=sum(pod.info.excluded is None for pod in members),
            routable=len(pods),
            excluded=excluded,
            scores=scores,
            target=target,
            refusal=refusal,
        )
        self.choices.append(choice)

    def _best(self, pods: Pods, numbers: Sequence[float | None]) -> list[tuple[str, float]]:
        known = [
            (pod.info.name, float(number))
            for pod, number in zip(pods, numbers, strict=False)
            if number is not None and isfinite(number)
        ]
        known.sort(key=lambda item: item[1], reverse=self.inner.highest_wins)
        return known[:SHOWN]
