"""Where a request of two legs goes, and where it goes next when a leg has failed."""

from collections.abc import Callable, Sequence

from aibrix_mw.errors import GatewayError, PairUnavailable
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.retry import RetryBudget
from aibrix_mw.strategies.base import Failure, Strategy

Candidates = Callable[[], Sequence[Pod]]


class Pairing:
    """Places and places again, for strategies with `two_legs`.

    A prefill leg that fails is repeated as often as the strategy has another place for it, a decode leg until there
    have been `attempts` of them; both as far as the retry budget goes. Then one pod may serve the request alone: after
    a failed prefill that costs nothing of the budget, since no decode pod has had the request yet.
    """

    def __init__(self, admission: Admission, budget: RetryBudget, attempts: int) -> None:
        self.admission = admission
        self.budget = budget
        self.attempts = attempts

    def first(self, strategy: Strategy, request: InferenceRequest, pods: Sequence[Pod]) -> Target:
        """The first target; PairUnavailable where there is none.

        Slow start does not part a pair, and ejection does not take the last pod that can serve.
        """
        admitted = self.admission.admit(pods)
        try:
            target = strategy.pick(request, admitted)
            if target.alone is None or len(admitted) == len(pods):
                return target
        except PairUnavailable:
            if len(admitted) == len(pods):
                raise
        well = self.admission.ejection.admit(pods)
        try:
            return strategy.pick(request, well)
        except PairUnavailable:
            return strategy.pick(request, pods)

    def next(
        self, strategy: Strategy, request: InferenceRequest, candidates: Candidates, failures: Sequence[Failure]
    ) -> Target | None:
        """The target after these failures, at least one; None when there shall be none."""
        try:
            pods = self.admission.ejection.admit(candidates())
        except GatewayError:
            return None
        last = failures[-1]
        repeatable = request.repeatable and not last.anywhere
        target = self._again(strategy, request, pods, failures) if repeatable else None
        if target is None and last.target.prefill is not None and (last.prefill or request.repeatable):
            target = strategy.alone(request, pods, failures)
            if target is not None and not last.prefill and not self.budget.take():
                return None
        return target

    def _again(
        self, strategy: Strategy, request: InferenceRequest, pods: Sequence[Pod], failures: Sequence[Failure]
    ) -> Target | None:
        decodes = sum(not failure.prefill for failure in failures)
        if not failures[-1].prefill and decodes >= self.attempts:
            return None
        target = strategy.again(request, pods, failures)
        return target if target is not None and self.budget.take() else None
