"""Weighted lists: how they are written, and their arithmetic."""

from math import inf, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Target
from aibrix_mw.strategies.base import Scorer
from aibrix_mw.strategies.weighted import LARGEST_WEIGHT, Item, WeightedList, normalised, parse_weights
from tests.support import ask_for, make_pods


class Given(Scorer):
    """Scores that a test says; notes what it hears."""

    def __init__(self, *given, header=None):
        super().__init__()
        self.given = given
        self.header = header
        self.heard = []

    def scores(self, request, pods, /):
        return self.given

    def chosen(self, request, pod, /, fallback=None):
        self.heard.append(pod)
        return Target(pod, headers=((self.header, b"1"),) if self.header else ())

    def observe(self, request, target, outcome, /):
        self.heard.append(outcome)


def weighted(*items):
    return WeightedList([Item(scorer, weight) for scorer, weight in items], Random(1))


@pytest.mark.parametrize(
    ("spec", "pairs"),
    [
        ("a", [("a", 1)]),
        ("a:6,b:4", [("a", 6), ("b", 4)]),
        (" a:6 , b ", [("a", 6), ("b", 1)]),
        ("a:0,b:2", [("a", 0), ("b", 2)]),
        ("a:1000000", [("a", LARGEST_WEIGHT)]),
        ("a:007", [("a", 7)]),
    ],
)
def test_how_lists_are_written(spec, pairs):
    assert parse_weights(spec) == pairs


@pytest.mark.parametrize(
    "spec",
    [
        *("", ",", "a,", ",a", "a,,b", ":5", "a:", "a:1:2", "a:1.5", "a:-1", "a:+1", "a:1e3", "a:x", "a:1000001"),
        *("a:99999999", "a:0", "a:0,b:0", "a:\u0661", "a: 5"),
    ],
)
def test_what_is_no_list(spec):
    with pytest.raises(ValueError, match=r"empty|whole number|zero"):
        parse_weights(spec)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0, 5, 10], [1.0, 0.5, 0.0]),
        ([3.0, 3.0, 3.0], [1.0, 1.0, 1.0]),
        ([7.0], [1.0]),
        ([0, None, 10], [1.0, 0.0, 0.0]),
        ([None, 4.0, None], [0.0, 1.0, 0.0]),
        ([nan, 4.0, inf, 8.0], [0.0, 1.0, 0.0, 0.0]),
        ([None, nan], [0.0, 0.0]),
        ([-1, 0, 1], [1.0, 0.5, 0.0]),
    ],
)
def test_normalising(scores, expected):
    assert normalised(scores) == expected


@given(st.lists(st.none() | st.floats(-1e9, 1e9) | st.just(nan), min_size=1, max_size=8))
def test_normalised_scores_lie_in_0_to_1(scores):
    result = normalised(scores)
    assert len(result) == len(scores)
    assert all(0.0 <= value <= 1.0 for value in result)


def test_a_worked_example():
    """Loads 0, 5, 10 with weight 6 and times 2, 1, None with weight 4.

    pod-1: (6 x 1 + 4 x 0) / 10, pod-2: (6 x 0.5 + 4 x 1) / 10, pod-3: nothing.
    """
    strategy = weighted((Given(0, 5, 10), 6), (Given(2.0, 1.0, None), 4))
    pods = make_pods(3)
    assert strategy.totals(ask_for(), pods) == pytest.approx([0.6, 0.7, 0.0])
    assert strategy.pick(ask_for(), pods).pod is pods[1]


def test_differences_of_a_billionth_are_ties():
    def winners(difference):
        strategy = weighted((Given(0.0, difference, 1.0), 1))
        return {strategy.pick(ask_for(), pods).pod.info.name for _ in range(60)}

    pods = make_pods(3)
    assert winners(0.5e-9) == {"pod-1", "pod-2"}
    assert winners(2e-9) == {"pod-1"}


def test_without_data_every_pod_is_as_good():
    strategy = weighted((Given(None, None), 1))
    assert {strategy.pick(ask_for(), make_pods(2)).pod.info.name for _ in range(60)} == {"pod-1", "pod-2"}


def test_every_item_hears_of_the_choice_and_of_the_end():
    one, two = Given(0, 1, header=b"x-one"), Given(0, 1, header=b"x-two")
    strategy = weighted((one, 1), (two, 2))
    pods = make_pods(2)
    target = strategy.pick(ask_for(), pods)
    outcome = Outcome(name="ok", status=200)
    strategy.observe(ask_for(), target, outcome)
    assert one.heard == two.heard == [pods[0], outcome]
    assert target.headers == ((b"x-one", b"1"), (b"x-two", b"1"))
