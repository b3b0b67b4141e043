"""The formulas of strategies.md, with numbers."""

import math
from random import Random

import pytest

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.strategies.formation import Group
from aibrix_mw.strategies.pair_scores import best_pair, decode_scores, lowest, prefill_scores
from tests.support import make_pods


def loaded(*loads):
    pods = make_pods(len(loads))
    for pod, load in zip(pods, loads, strict=True):
        pod.in_flight = load
    return pods


def telling(pods, *reports):
    for pod, report in zip(pods, reports, strict=True):
        if report is not None:
            rate, usage = report
            pod.metrics = EngineMetrics(expires=10.0, generation_tokens_rate=rate, kv_cache_usage=usage)
    return pods


def values(scores, pods):
    return [scores.get(pod) for pod in pods]


@pytest.mark.parametrize(
    ("loads", "shares", "expected"),
    [
        ((0, 0), {}, [10.0, 10.0]),
        ((1, 4), {}, [10.25, 11.0]),
        ((1, 4), {"uid-2": 0.5}, [10.25, 6.0]),
        ((0, 16), {}, [10.0, 11.0]),
        ((0, 17), {"uid-2": 1.0}, [0.0, None]),  # too far apart
        ((1, 1, 1, 1, 1, 9), {"uid-6": 1.0}, [10 + 1 / 9] * 5 + [None]),  # above mean + 2 deviations
    ],
)
def test_prefill(loads, shares, expected):
    pods = loaded(*loads)
    scores = prefill_scores(pods, shares, 16, 2.0)
    assert values(scores, pods) == [pytest.approx(value) if value is not None else None for value in expected]


@pytest.mark.parametrize(
    ("loads", "reports", "expected"),
    [
        ((1, 2), [(10, 0.0), (20, 0.5)], [1.0, 2.0]),  # 1/2 + 1 - 1/2; (1 + 0) / 0.5
        ((0, 0), [(0, 0.0), (0, 0.5)], [1.0, 2.0]),
        ((1, 2), [(20, 1.0), (20, 0.0)], [50.0, 1.0]),
        ((1, 2), [(20, 0.0), None], [0.5, 2.5]),  # after those who tell
        ((1, 2), [(math.nan, 0.0), (20, 0.0)], [2.5, 1.0]),
        ((0, 16), [(20, 0.0), (1, 0.0)], [0.0, None]),
        ((0, 15), [(0, 0.0), (20, 0.0)], [1.0, 1.0]),
    ],
)
def test_decode(loads, reports, expected):
    pods = telling(loaded(*loads), *reports)
    found = decode_scores(pods, 1.0)
    assert found.known
    assert values(found.scores, pods) == [pytest.approx(value) if value is not None else None for value in expected]


@pytest.mark.parametrize("now", [1.0, 10.0])
def test_decode_without_data(now):
    pods = loaded(3, 1)
    if now == 10.0:
        telling(pods, (1, 0.1), (1, 0.1))  # too old
    found = decode_scores(pods, now)
    assert (values(found.scores, pods), found.known) == ([3.0, 1.0], False)


def test_decode_by_requests_on_purpose():
    pods = telling(loaded(3, 1), (1, 0.9), (1, 0.1))
    found = decode_scores(pods, None)
    assert (values(found.scores, pods), found.known) == ([3.0, 1.0], True)


def test_the_best_sum_of_both_terms():
    p1, d1, p2, d2, p3, d3 = pods = make_pods(6)
    groups = [Group(name, (pods[at],), (pods[at + 1],), False) for at, name in ((0, "a"), (2, "b"), (4, "c"))]
    prefills, decodes = {p1: 10.0, p2: 8.0, p3: 5.0}, {d1: 0.2, d2: 0.5, d3: 1.0}
    assert best_pair(groups, prefills, decodes, Random(1)) == (p1, d1)  # 1.2, 1.3, 1.5
    assert best_pair(groups, prefills, {d2: 0.5, d3: 1.0}, Random(1)) == (p2, d2)
    assert best_pair(groups, prefills, {d3: 1.0}, Random(1)) == (p3, d3)
    zero = best_pair(groups, dict.fromkeys(prefills, 0.0), dict.fromkeys(decodes, 0.0), Random(1))
    assert zero in {(p1, d1), (p2, d2), (p3, d3)}


def test_ties_are_broken_at_random():
    pods = make_pods(2)
    groups = [Group("a", (pods[0],), (pods[0],), False), Group("b", (pods[1],), (pods[1],), False)]
    rng = Random(1)
    even = dict.fromkeys(pods, 1.0)
    first = sum(best_pair(groups, even, even, rng)[0] is pods[0] for _ in range(1000))
    assert 400 < first < 600
    assert 400 < sum(lowest(pods, even, rng) is pods[0] for _ in range(1000)) < 600
