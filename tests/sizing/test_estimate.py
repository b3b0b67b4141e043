"""The estimate by itself, and whether whole searches find what is there: on queues whose capacity is computed."""

from statistics import mean

import msgspec
import pytest

from aibrix_mw.sizing.estimate import Estimate, estimate, share_interval
from aibrix_mw.sizing.measure import Measuring, Task
from aibrix_mw.sizing.search import Bracket
from aibrix_mw.sizing.verdict import Bounds, Reason, Verdict, judge
from tests.sizing.recorder import Recorder
from tests.sizing.test_verdict import answer, failed, step
from tests.sizing.virtual import Queue, VirtualReplica, capacity

BOUNDS = Bounds(0.4, 0.1)


def verdict(rate, every=None, otherwise=lambda due: answer(due, first=0.5)):
    found = judge([step(every=every, otherwise=otherwise)], BOUNDS)
    return Verdict(rate, found.figures, found.reasons, found.late)


def test_a_straight_line_between_the_ends():
    low, high = verdict(30.0), verdict(33.0, every=7)
    share = high.figures.late
    found = estimate(Bracket(30.0, 33.0), [low, high])
    assert found.rate == pytest.approx(30 + 3 * 0.05 / share)
    assert found.low == pytest.approx(min(30.0, found.rate / 1.07))
    assert found.high == pytest.approx(max(33.0, found.rate * 1.07), rel=0.2)


def test_where_the_upper_end_fails_by_errors_the_lower_one_is_the_rate():
    found = estimate(Bracket(30.0, 33.0), [verdict(30.0), verdict(33.0, every=3, otherwise=failed)])
    assert found.rate == 30.0
    assert found.high == 33.0


def together(rate, late):
    """A verdict on 200 requests of which so many, one after the other, were late."""
    reasons = (Reason("first_token", ""),) if late > 10 else ()
    flags = (True,) * late + (False,) * (200 - late)
    return Verdict(rate, msgspec.structs.replace(verdict(rate).figures, late=late / 200), reasons, (flags,))


def test_the_interval_reaches_to_the_nearest_clear_verdicts():
    assert share_interval(together(30.0, 9))[1] > 0.05  # those who wait together are late together: they prove less
    assert share_interval(verdict(30.0, every=25))[1] < 0.05
    verdicts = [together(26.0, 0), together(30.0, 9), together(33.0, 12), together(38.0, 100)]
    found = estimate(Bracket(30.0, 33.0), verdicts)
    assert (found.low, found.high) == (26.0, 38.0)


def test_an_interval_that_no_verdict_closes():
    found = estimate(Bracket(30.0, 33.0), [together(30.0, 9), together(33.0, 12)])
    assert (found.low, found.high) == pytest.approx((25.0, 39.6))


def test_nothing_sustainable_nothing_to_estimate():
    assert estimate(Bracket(None, 1.0), []) is None


def test_without_an_upper_end():
    assert estimate(Bracket(50.0, None), [verdict(50.0)]) == Estimate(50.0, pytest.approx(50 / 1.07), None)


def test_ends_without_a_full_step():
    assert estimate(Bracket(8.0, 16.0), []) == Estimate(8.0, pytest.approx(8 / 1.2), pytest.approx(19.2))


def test_few_requests_prove_nothing():
    few = Verdict(1.0, verdict(1.0).figures, (), ((False,) * 39,))
    assert share_interval(few) == (0.0, 1.0)
    assert share_interval(Verdict(1.0, few.figures, (), ((False,) * 40,))) == (0.0, 0.0)


def test_a_single_verdict_by_errors_is_clear():
    by_errors = Verdict(2.0, verdict(2.0).figures, (Reason("errors", ""),), ())
    assert estimate(Bracket(1.0, 2.0), [by_errors]).high == 2.0


QUEUES = [Queue(32, 0.2, 9, 0.1), Queue(16, 0.2, 5, 0.05), Queue(24, 0.3, 4, 0.1)]


@pytest.mark.parametrize("queue", QUEUES, ids=str)
def test_searches_find_the_capacity(queue):
    """24 searches a queue: nearly all within 10 % of the capacity, and it lies in nearly all intervals."""
    bound = 2 * queue.prefill
    truth = capacity(queue, bound)
    found = []
    for seed in range(24):
        measuring = Measuring(VirtualReplica(queue), Task(step_seconds=18.0, seed=1000 * seed), Recorder())
        measuring.begin()
        measured = measuring.run()
        assert measured.bounds.first_token == pytest.approx(bound)
        assert measured.reason.kind == "first_token"
        found.append(measured.estimate)
    assert len([one for one in found if abs(one.rate / truth - 1) < 0.1]) >= 23
    assert len([one for one in found if one.low <= truth <= one.high]) >= 22
    assert mean([one.rate for one in found]) == pytest.approx(truth, rel=0.05)
