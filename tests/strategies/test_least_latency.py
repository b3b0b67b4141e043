"""`least-latency`: worked numbers, and what happens where data is missing."""

from math import nan

import pytest

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Target
from aibrix_mw.strategies.least_latency import LeastLatency
from tests.strategies.reports import NOW, clock, reported
from tests.support import ask_for

FAST = {"queue_seconds": 0.1, "prefill_seconds": 0.001, "decode_seconds": 0.01, "generation_tokens": 100.0}
SLOW = {"queue_seconds": 0.5, "prefill_seconds": 0.004, "decode_seconds": 0.02, "generation_tokens": 100.0}
IDLE = {"running": 0.0}


@pytest.fixture
def strategy():
    return LeastLatency(clock=clock())


def request_of(tokens=100, **limits):
    """A request whose prompt has that many estimated tokens."""
    extra = "".join(f', "{name}": {value}' for name, value in limits.items())
    return ask_for(b'{"model": "m", "prompt": "%s"%s}' % (b"x" * (4 * tokens - 2), extra.encode()))


def test_a_worked_example(strategy):
    """100 prompt tokens, 100 tokens of answer.

    Fast: (0.1 + 100 x 0.001 + 100 x 0.01) x (2 + 1) = 3.6; slow: (0.5 + 100 x 0.004 + 100 x 0.02) x (0 + 1) = 2.9.
    """
    pods = reported(FAST, SLOW, in_flight=(2, 0))
    assert strategy.scores(request_of(), pods) == pytest.approx([3.6, 2.9])
    assert strategy.pick(request_of(), pods).pod is pods[1]


@pytest.mark.parametrize(
    ("limits", "generated"),
    [({"max_tokens": 10}, 10), ({"max_tokens": 500}, 100), ({"max_completion_tokens": 20}, 20), ({}, 100)],
)
def test_the_answer_is_as_long_as_allowed_and_usual(strategy, limits, generated):
    (score,) = strategy.scores(request_of(**limits), reported(FAST))
    assert score == pytest.approx(0.2 + generated * 0.01)


def test_a_pod_without_data_is_skipped(strategy):
    pods = reported(SLOW, None, in_flight=(9, 0))
    assert strategy.scores(request_of(), pods)[1] is None
    assert strategy.pick(request_of(), pods).pod is pods[0]


def test_without_any_data_least_request_decides_and_says_so(strategy):
    pods = reported(None, None, in_flight=(1, 0))
    target = strategy.pick(request_of(), pods)
    assert (target.pod, target.fallback) == (pods[1], "no_data")
    assert strategy.pick(request_of(max_tokens=5), pods).fallback == "no_data"
    assert strategy.pick(request_of(), reported(IDLE, IDLE)).fallback == "no_data"


def test_old_reports_are_missing(strategy):
    pods = reported(FAST | {"expires": NOW}, SLOW)
    assert strategy.pick(request_of(), pods).pod is pods[1]


@pytest.mark.parametrize("field", ["queue_seconds", "prefill_seconds", "decode_seconds"])
def test_half_of_the_data_is_none(strategy, field):
    pods = reported(FAST | {field: None}, FAST | {field: nan}, SLOW)
    assert strategy.scores(request_of(), pods)[:2] == [None, None]


def test_a_length_that_is_no_number_is_missing(strategy):
    assert strategy.scores(request_of(), reported(FAST | {"generation_tokens": nan})) == [None]


def test_an_idle_engine_is_taken_for_an_average_one(strategy):
    pods = reported(FAST, SLOW, IDLE, in_flight=(0, 0, 0))
    fast, slow, idle = strategy.scores(request_of(), pods)
    assert idle == pytest.approx((fast + slow) / 2)


def test_where_the_engine_does_not_tell_what_we_see_counts(strategy):
    """(100 x 0.002 + 100 x 0.03) x (1 + 1) = 6.4."""
    pods = reported(FAST, None, {"kv_cache_usage": 0.5, "decode_seconds": 0.1}, in_flight=(0, 1, 1))
    for pod in pods[1:]:
        pod.latency.saw_first_token(0.2, 100, NOW)
        pod.latency.saw_output(3.0, 100, NOW)
    assert strategy.scores(request_of(), pods) == pytest.approx([1.2, 6.4, 6.4])


def test_answers_teach_how_long_they_are(strategy):
    (pod,) = pods = reported(None)
    pod.latency.saw_first_token(0.1, 100, NOW)
    pod.latency.saw_output(1.0, 100, NOW)
    assert strategy.scores(request_of(), pods) == [None]
    for _ in range(2):
        strategy.observe(request_of(), Target(pod), Outcome(name="ok", status=200, completion_tokens=50))
    strategy.observe(request_of(), Target(pod), Outcome(name="ok", status=200))
    assert strategy.scores(request_of(), pods) == pytest.approx([0.1 + 50 * 0.01])


def test_choices_between_two_reports_do_not_pile_up(strategy):
    pods = reported(*[FAST] * 7, FAST | {"queue_seconds": 0.05})
    for _ in range(80):
        strategy.pick(request_of(), pods).pod.in_flight += 1
    assert max(pod.in_flight for pod in pods) <= 12
