"""How often a request of two legs is placed: attempts, retry budget, and what the last resort costs."""

from random import Random

import pytest

from aibrix_mw.errors import NoReadyPods
from aibrix_mw.pairing import Pairing
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.pod import Target
from aibrix_mw.retry import RetryBudget
from aibrix_mw.strategies.base import Failure
from aibrix_mw.strategies.pd import Pd
from tests.legs import leg
from tests.support import Clock, ask_for, registry_of

PODS = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill", "b"), leg(4, "decode", "b")]


class Placing:
    """A pairing over four pods, with so much of a budget."""

    def __init__(self, budget=10.0, attempts=2, **options):
        self.registry = registry_of(*PODS)
        self.pods = self.registry.serving("m")
        self.budget = RetryBudget(0.0, budget / RetryBudget.WINDOW, Clock())
        self.pairing = Pairing(Admission(self.registry), self.budget, attempts)
        self.strategy = Pd(Random(1), options, Clock())

    def next(self, *failures, request=None):
        return self.pairing.next(self.strategy, request or ask_for(), lambda: self.pods, failures)

    def failed(self, at=0, **more):
        return Failure(Target(self.pods[at + 1], prefill=self.pods[at]), **more)


def test_a_failed_prefill_takes_of_the_budget_and_the_fallback_does_not():
    placing = Placing(budget=1.0)
    assert placing.next(placing.failed(prefill=True)).prefill is placing.pods[2]
    assert placing.budget.balance == 0.0
    target = placing.next(placing.failed(prefill=True), placing.failed(2, prefill=True))
    assert (target.prefill, target.alone) == (None, "prefill_failed")
    assert placing.next(placing.failed(prefill=True)).alone == "prefill_failed"  # no budget for another prefill


def test_a_failed_decode_is_bounded_by_attempts_and_budget():
    placing = Placing(budget=2.0)
    assert placing.next(placing.failed()).pod is placing.pods[3]
    target = placing.next(placing.failed(), placing.failed(2))
    assert target.alone == "decode_failed"
    assert placing.next(placing.failed()) is None  # the budget is empty
    once = Placing(attempts=1)
    assert once.next(once.failed()).alone == "decode_failed"


def test_a_body_too_large_to_repeat():
    placing = Placing()
    request = ask_for()
    request.repeatable = False
    assert placing.next(placing.failed(prefill=True), request=request).alone == "prefill_failed"
    assert placing.next(placing.failed(), request=request) is None


def test_what_would_happen_anywhere():
    placing = Placing()
    assert placing.next(placing.failed(prefill=True, anywhere=True)).alone == "nothing_to_transfer"


def test_after_the_last_resort():
    placing = Placing()
    alone = Failure(Target(placing.pods[1], alone="prefill_failed"))
    assert placing.next(alone).pod is placing.pods[3]
    assert placing.next(alone, alone) is None


def test_refused():
    placing = Placing(budget=0.0, fallback="refuse")
    assert placing.next(placing.failed(prefill=True)) is None


def test_everybody_has_left():
    placing = Placing()

    def nobody():
        raise NoReadyPods("m")

    assert placing.pairing.next(placing.strategy, ask_for(), nobody, [placing.failed()]) is None


@pytest.mark.parametrize("role", ["prefill", "decode"])
def test_ejection_takes_a_pair_only_as_long_as_somebody_serves(role):
    placing = Placing()
    for pod in placing.pods:
        if pod.info.labels["role-name"] == role:
            for _ in range(5):
                placing.pairing.admission.failed(pod, placing.pairing.admission.placed(pod))
    target = placing.pairing.first(placing.strategy, ask_for(), placing.pods)
    assert (target.alone is None) is (role == "decode")
