"""Choices, written down."""

from random import Random

import msgspec
import pytest

from aibrix_mw.errors import NoReadyPods
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.selector import Selector
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.telemetry.choice import Explained
from tests.support import ask_for, info, registry_of

REGISTRY = registry_of(
    *(info(number, labels={"zone": "a"}) for number in range(1, 9)),
    info(9, labels={"zone": "b"}),
    info(10, excluded="not_ready"),
)
PODS = REGISTRY.serving("m")


def explained(spec="least-request", **changes):
    plan = Plan(Catalogue(rng=Random(1)).get(spec), spec, "header")
    return Explained(msgspec.structs.replace(plan, **changes), REGISTRY, lambda: PODS[6:7])


def test_candidates_and_who_is_none_of_them():
    PODS[5].in_flight = 4
    strategy = explained(selector=Selector("zone=a"), max_in_flight=4)
    first = strategy.pick(ask_for(), PODS[:5])
    strategy.pick(ask_for(), [pod for pod in PODS[:5] if pod is not first.pod])
    PODS[5].in_flight = 0
    one, two = strategy.choices
    assert (one.known, one.ready, one.routable, one.strategy) == (10, 9, 5, "least-request")
    assert one.excluded == {"filter": 1, "in_flight": 1, "ejected": 1, "held_back": 1, "not_ready": 1}
    assert one.target is first
    assert one.begun <= one.ended
    assert two.excluded == {**one.excluded, "tried": 1}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("least-request", [0, 1, 2, 3, 4]), ("least-request:1", [1, 0.875, 0.75, 0.625, 0.5]), ("random", [])],
)
def test_the_best_scores_come_first(spec, expected):
    for load, pod in enumerate(PODS):
        pod.in_flight = load
    strategy = explained(spec)
    target = strategy.pick(ask_for(), PODS)
    for pod in PODS:
        pod.in_flight = 0
    (choice,) = strategy.choices
    assert [score for _, score in choice.scores] == expected
    assert not expected or choice.scores[0][0] == target.pod.info.name


def test_a_choice_that_fails_is_written_down_too():
    class Nobody(Strategy):
        def pick(self, request, pods, /):
            raise NoReadyPods("m")

    strategy = explained(strategy=Nobody())
    with pytest.raises(NoReadyPods):
        strategy.pick(ask_for(), PODS)
    (choice,) = strategy.choices
    assert (choice.target, choice.refusal) == (None, "no_ready_pods")


def test_the_strategy_hears_how_it_ended():
    class Hearing(Strategy):
        counts_tokens = True
        heard = None

        def observe(self, request, target, outcome, /):
            self.heard = outcome

    inner = Hearing()
    strategy = explained(strategy=inner)
    outcome = Outcome(name="ok", status=200)
    strategy.observe(ask_for(), None, outcome)
    assert inner.heard is outcome
    assert strategy.counts_tokens
