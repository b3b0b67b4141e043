"""What strategies over reports make of the time between two of them."""

from math import nan
from random import Random

import msgspec
import pytest

from aibrix_mw.strategies.least_kv_cache import LeastKvCache
from tests.strategies.reports import clock, reported
from tests.support import ask_for


@pytest.fixture
def strategy():
    return LeastKvCache(Random(1), clock=clock())


def usage(*shares, in_flight=()):
    return reported(*({"kv_cache_usage": share} for share in shares), in_flight=in_flight)


def test_a_request_counts_as_much_as_one_did_when_the_reports_came(strategy):
    """0.2 and 0.6 by 1 + 3 requests: 0.2 each."""
    pods = usage(0.2, 0.6, in_flight=(1, 3))
    assert strategy.scores(ask_for(), pods) == pytest.approx([0.2, 0.6])
    pods[0].in_flight += 2
    pods[1].in_flight -= 1
    assert strategy.scores(ask_for(), pods) == pytest.approx([0.6, 0.4])


def test_a_new_report_begins_anew(strategy):
    pods = usage(0.2, 0.6, in_flight=(1, 3))
    strategy.scores(ask_for(), pods)
    pods[0].in_flight = 5
    pods[0].metrics = msgspec.structs.replace(pods[0].metrics, kv_cache_usage=0.9)
    assert strategy.scores(ask_for(), pods) == pytest.approx([0.9, 0.6])


def test_pods_without_a_number_count_for_nothing(strategy):
    pods = usage(0.4, nan, in_flight=(2, 7))
    pods.append(reported(None, in_flight=(9,))[0])
    strategy.scores(ask_for(), pods)
    pods[0].in_flight += 1
    scores = strategy.scores(ask_for(), pods)
    assert scores[0] == pytest.approx(0.6)
    assert scores[1] != scores[1]
    assert scores[2] is None


def test_without_requests_at_the_reports_numbers_stay(strategy):
    pods = usage(0.4, 0.5)
    strategy.scores(ask_for(), pods)
    pods[0].in_flight = 3
    assert strategy.scores(ask_for(), pods) == [0.4, 0.5]


def test_choices_between_two_reports_spread(strategy):
    """The best pod gets as many as make it equal to the others, and no more."""
    pods = usage(0.2, 0.4, 0.4, 0.4, in_flight=(4, 8, 8, 8))
    for _ in range(40):
        strategy.pick(ask_for(), pods).pod.in_flight += 1
    assert [pod.in_flight for pod in pods] == [17, 17, 17, 17]


def test_a_pod_that_has_left_is_forgotten(strategy):
    pods = usage(0.2, 0.4, in_flight=(1, 1))
    strategy.scores(ask_for(), pods)
    strategy.forget(pods[0])
    pods[0].in_flight = 5
    assert strategy.scores(ask_for(), pods)[0] == pytest.approx(0.2)
