"""Strategies that compare what engines report."""

from collections import Counter
from math import inf, nan
from random import Random

import pytest

from aibrix_mw.strategies.catalogue import Catalogue
from aibrix_mw.strategies.reported import CROWDED
from tests.strategies.reports import NOW, clock, reported
from tests.support import ask_for

NAMES = ["throughput", "least-kv-cache", "least-gpu-cache", "least-busy-time"]
BEST = {"prompt_tokens_rate": 1.0, "generation_tokens_rate": 1.0, "kv_cache_usage": 0.1, "busy_share": 0.1}
WORSE = {"prompt_tokens_rate": 9.0, "generation_tokens_rate": 9.0, "kv_cache_usage": 0.9, "busy_share": 0.9}


@pytest.fixture(params=NAMES)
def strategy(request):
    return strategy_of(request.param)


def strategy_of(name):
    return Catalogue(rng=Random(1), clock=clock()).get(name)


def scores(name, *reports):
    return strategy_of(name).scores(ask_for(), reported(*reports))


def test_throughput():
    """2 x 10 + 5 = 25; 300 outstanding tokens over 60 s add 2 x 5."""
    pods = reported({"prompt_tokens_rate": 10.0, "generation_tokens_rate": 5.0}, {"prompt_tokens_rate": 1.0})
    assert strategy_of("throughput").scores(ask_for(), pods) == [25.0, None]
    pods[0].outstanding_tokens = 300
    assert strategy_of("throughput").scores(ask_for(), pods) == [35.0, None]


def test_least_kv_cache():
    reports = [{"kv_cache_usage": 0.5}, {"kv_cache_usage": 0.4, "cpu_cache_usage": 0.2}, {"cpu_cache_usage": 0.1}]
    assert scores("least-kv-cache", *reports) == pytest.approx([0.5, 0.6, None])


def test_least_gpu_cache():
    reports = [{"gpu_cache_usage": 0.3, "kv_cache_usage": 0.5}, {"kv_cache_usage": 0.0}, {"running": 1.0}]
    assert scores("least-gpu-cache", *reports) == [0.3, 0.0, None]


def test_least_busy_time():
    reports = [{"gpu_busy_ratio": 0.3, "busy_share": 0.5}, {"busy_share": 0.2}, {"running": 1.0}]
    assert scores("least-busy-time", *reports) == [0.3, 0.2, None]


def test_the_lowest_wins(strategy):
    pods = reported(WORSE, BEST, WORSE)
    assert {strategy.pick(ask_for(), pods).pod for _ in range(20)} == {pods[1]}


def test_ties_are_broken_uniformly(strategy):
    pods = reported(BEST, WORSE, BEST)
    counts = Counter(strategy.pick(ask_for(), pods).pod for _ in range(1000))
    assert counts.keys() == {pods[0], pods[2]}
    assert min(counts.values()) > 400


def test_a_pod_without_data_is_skipped(strategy):
    pods = reported(None, WORSE, {})
    target = strategy.pick(ask_for(), pods)
    assert (target.pod, target.fallback) == (pods[1], None)


def test_without_any_data_least_request_decides_and_says_so(strategy):
    pods = reported(None, {}, in_flight=(3, 2))
    target = strategy.pick(ask_for(), pods)
    assert (target.pod, target.fallback) == (pods[1], "no_data")


@pytest.mark.parametrize("broken", [nan, inf, -inf])
def test_what_is_no_finite_number_is_missing(strategy, broken):
    pods = reported(dict.fromkeys(BEST, broken), WORSE)
    assert strategy.pick(ask_for(), pods).pod is pods[1]


def test_old_reports_are_missing(strategy):
    pods = reported(BEST | {"expires": NOW}, WORSE)
    assert strategy.pick(ask_for(), pods).pod is pods[1]


def test_pods_may_join_and_leave(strategy):
    pods = reported(WORSE, BEST, None)
    assert strategy.pick(ask_for(), pods[:1]).pod is pods[0]
    assert strategy.pick(ask_for(), pods).pod is pods[1]
    assert strategy.pick(ask_for(), pods[2:]).pod is pods[2]


def test_choices_between_two_reports_do_not_pile_up(strategy):
    """400 requests before the next report: the best pod gets more than its share, and no more than that."""
    pods = reported(BEST, *[WORSE] * 7)
    for _ in range(400):
        strategy.pick(ask_for(), pods).pod.in_flight += 1
    assert 50 < pods[0].in_flight <= CROWDED * (50 + 1) + 1
    assert max(pod.in_flight for pod in pods) <= CROWDED * (50 + 1) + 1


def test_what_a_strategy_needs_is_what_it_reads(strategy):
    """Without any one of the needed fields, and without all others, the scores stay what they were or go missing."""
    full = dict.fromkeys(("gpu_cache_usage", "cpu_cache_usage", "gpu_busy_ratio"), 0.2) | BEST
    (expected,) = strategy.scores(ask_for(), reported(full))
    needed = {field: value for field, value in full.items() if field in strategy.needs}
    assert strategy.scores(ask_for(), reported(needed)) == [expected]
