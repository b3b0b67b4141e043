"""What the simple strategies choose."""

from collections import Counter
from math import inf, nan
from random import Random

import pytest

from aibrix_mw.strategies.base import Scorer, Strategy, any_of, least_in_flight
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.power_of_two import PowerOfTwo
from aibrix_mw.strategies.random import Random as RandomStrategy
from tests.support import ask_for, make_pods


def loaded(*counts):
    pods = make_pods(len(counts))
    for pod, count in zip(pods, counts, strict=True):
        pod.in_flight = count
    return pods


def chosen(strategy, pods, times=300):
    return {strategy.pick(ask_for(), pods).pod.info.name for _ in range(times)}


def test_least_request():
    assert chosen(LeastRequest(Random(1)), loaded(3, 1, 2)) == {"pod-2"}
    assert chosen(LeastRequest(Random(1)), loaded(1, 3, 1)) == {"pod-1", "pod-3"}
    assert LeastRequest().scores(ask_for(), loaded(3, 1)) == [3, 1]


def test_least_request_chooses_as_its_scores_do():
    pods = loaded(2, 0, 1, 0)
    assert chosen(LeastRequest(Random(1)), pods) == {
        Scorer.pick(LeastRequest(Random(seed)), ask_for(), pods).pod.info.name for seed in range(40)
    }


def test_random_looks_at_nothing():
    assert chosen(RandomStrategy(Random(1)), loaded(0, 1000)) == {"pod-1", "pod-2"}


class Rng(Random):
    """Notes what is drawn."""

    def __init__(self, seed):
        super().__init__(seed)
        self.drawn = []

    def sample(self, population, k, *, counts=None):
        self.drawn.append(super().sample(population, k, counts=counts))
        return self.drawn[-1]


def test_power_of_two_draws_distinct_pods():
    rng = Rng(1)
    pods = loaded(5, 4, 3, 2)
    strategy = PowerOfTwo(rng)
    for _ in range(200):
        target = strategy.pick(ask_for(), pods)
        first, second = rng.drawn[-1]
        assert first is not second
        assert target.pod.in_flight == min(first.in_flight, second.in_flight)
    assert len({frozenset(pair) for pair in rng.drawn}) == 6


def test_power_of_two_with_two_pods_compares_both():
    assert chosen(PowerOfTwo(Random(1)), loaded(1, 0)) == {"pod-2"}


def test_power_of_two_keeps_the_load_even():
    """F34: ten thousand choices over eight pods."""
    pods = make_pods(8)
    strategy = PowerOfTwo(Random(1))
    for _ in range(10_000):
        strategy.pick(ask_for(), pods).pod.in_flight += 1
    counts = [pod.in_flight for pod in pods]
    assert max(counts) / (sum(counts) / 8) <= 1.15


class Given(Scorer):
    """Scores that a test says."""

    def __init__(self, *given):
        super().__init__(Random(1))
        self.given = given

    def scores(self, request, pods, /):
        return self.given


@pytest.mark.parametrize(
    ("scores", "names"),
    [
        ((3.0, 1.0, 2.0), {"pod-2"}),
        ((None, 5.0, 9.0), {"pod-2"}),
        ((nan, inf, 9.0), {"pod-3"}),
        ((0.0, None, 1.0), {"pod-1"}),
        ((-1.0, 0.0, -1.0), {"pod-1", "pod-3"}),
    ],
)
def test_the_lowest_score_wins_and_missing_is_not_zero(scores, names):
    pods = loaded(9, 9, 9)
    assert chosen(Given(*scores), pods) == names
    assert Given(*scores).pick(ask_for(), pods).fallback is None


@pytest.mark.parametrize("scores", [(None, None, None), (nan, inf, None)])
def test_least_request_decides_without_data(scores):
    target = Given(*scores).pick(ask_for(), loaded(2, 0, 1))
    assert (target.pod.info.name, target.fallback) == ("pod-2", "no_data")


def test_what_a_strategy_must_say():
    with pytest.raises(NotImplementedError):
        Strategy().pick(ask_for(), make_pods(1))
    with pytest.raises(NotImplementedError):
        Scorer().scores(ask_for(), make_pods(1))


def test_helpers():
    pods = loaded(1, 0, 0)
    assert any_of(pods[:1], Random(1)) is pods[0]
    counts = Counter(least_in_flight(pods, Random(seed)).info.name for seed in range(100))
    assert set(counts) == {"pod-2", "pod-3"}
