"""What is measured, and what is named as the reason, on replicas in virtual time."""

from random import Random

import msgspec
import pytest

from aibrix_mw.sizing.failures import LimitMet, NothingSustained, SizingError
from aibrix_mw.sizing.measure import Measuring, Task, unpunctual
from aibrix_mw.sizing.records import Punctuality, Record
from aibrix_mw.sizing.search import CONFIRM, DOUBLE
from aibrix_mw.sizing.verdict import UNBOUNDED, Bounds
from tests.sizing.recorder import Recorder
from tests.sizing.virtual import Queue, VirtualReplica

QUEUE = Queue(32, 0.2, 9, 0.1)
KNEE = 15.0


def measure(replica, **task):
    measuring = Measuring(replica, Task(**task), listener := Recorder())
    measuring.begin()
    return measuring.run(), listener


def failing(error, detail, share, above=KNEE):
    """Above a rate, a share of the requests fails."""
    rng = Random(1)

    def change(record, rate):
        if rate <= above or rng.random() >= share:
            return record
        return Record(record.due, record.sent, record.sent + 0.1, error=error, detail=detail)

    return change


def slower(field):
    """Above a rate, answers take four times as long, to the first token or between tokens, and nothing queues."""

    def change(record, rate):
        if rate <= KNEE:
            return record
        first = record.first + (0.6 if field == "first" else 0.0)
        last = first + (record.last - record.first) * (1 if field == "first" else 4)
        return Record(record.due, record.sent, last, first, last, record.tokens, record.prompt_tokens)

    return change


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (failing("status_503", "503 busy", 0.03), "errors", "failed: 503 busy"),
        (
            failing("stalled", "no byte for 10 s in the middle", 0.03),
            "stall",
            "stalled: no byte for 10 s in the middle",
        ),
        (failing("no_answer", "no byte for 10 s", 1.0), "stall", "100.0 % of the requests stalled"),
        (slower("first"), "first_token", "first token p95 0.8 s is above its bound of 0.4 s"),
        (slower("token"), "per_token", "time per output token p95 0.4 s is above its bound of 0.2 s"),
    ],
)
def test_the_reason_is_named(change, kind, text):
    measured, _ = measure(VirtualReplica(QUEUE, change))
    assert measured.reason.kind == kind
    assert text in measured.reason.text
    assert measured.end == "complete"
    assert measured.estimate.low <= KNEE <= measured.estimate.high
    assert measured.estimate.rate == pytest.approx(KNEE, rel=0.1)


def test_a_replica_that_always_fails_some_requests_sustains_nothing():
    measured, _ = measure(VirtualReplica(QUEUE, failing("reset", "gone", 0.1, above=0.0)))
    assert measured.estimate is None
    assert (measured.bracket.low, measured.reason.kind) == (None, "errors")


def test_the_way_of_a_measurement():
    measured, listener = measure(VirtualReplica(QUEUE), step_seconds=18.0)
    assert listener.phases[0] == ("alone", None)
    assert listener.phases[1] == (DOUBLE, pytest.approx(1.0))  # one in flight on average
    assert listener.phases[-1][0] == CONFIRM
    assert measured.bounds == Bounds(pytest.approx(0.4), pytest.approx(0.2))
    assert measured.bracket.confirmed
    assert listener.steps == list(measured.tried)
    assert measured.seconds == pytest.approx(sum(step.seconds for step in listener.steps))


def test_steps_are_as_long_as_they_have_to_be():
    replica = VirtualReplica(Queue(2, 2.0, 9, 1.0))  # 10 s an answer
    measure(replica, step_seconds=18.0)
    double, *_, last = [order.plan for order in replica.orders[1:]]
    assert double.measured == 6.0
    assert (double.warm_up, double.cool_down) == (pytest.approx(12.0), pytest.approx(10.0))
    assert last.measured == 90.0  # 100 requests would take 5 times as long, and more


def test_bounds_and_highest_rate_that_were_asked_for():
    measured, _ = measure(VirtualReplica(QUEUE), first_token=0.7, per_token=0.5, most=4.0)
    assert measured.bounds == Bounds(0.7, 0.5)
    assert measured.estimate.rate == 4.0
    assert measured.estimate.high is None


def test_answers_of_one_token_have_no_bound_per_token():
    measured, _ = measure(VirtualReplica(Queue(8, 0.2, 1, 0.1)), most=5.0)
    assert measured.bounds.per_token == UNBOUNDED


def test_a_limit_is_told_apart_from_saturation():
    measured, _ = measure(
        VirtualReplica(QUEUE, failing("status_429", "429 too many (x-error-model-rps-exceeded)", 0.5))
    )
    assert measured.end == "limit"
    assert "lets about" in measured.message
    assert "429 too many (x-error-model-rps-exceeded)" in measured.message
    assert "not the capacity" in measured.message
    assert measured.estimate.rate <= KNEE  # what held before is known


def test_a_generator_that_cannot_keep_up_is_no_result():
    measured, listener = measure(VirtualReplica(QUEUE, punctuality=Punctuality(0.5, 0.3)))
    assert measured.end == "generator"
    assert (
        "The load generator was the bottleneck at 1 requests/s: it sent requests late (p95 500.0 ms" in measured.message
    )
    assert len(listener.notes) == 3
    assert measured.estimate is None


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (Punctuality(0.019, 0.5), None),
        (Punctuality(0.021, 0.5), "it sent requests late (p95 21.0 ms, at most 20.0 ms are allowed)"),
        (Punctuality(0.001, 0.95), "it used 95 % of its core"),
    ],
)
def test_what_a_fair_generator_may_do(seen, fault):
    assert unpunctual(seen, Bounds(0.2, 0.1)) == fault


def test_other_failures_end_it_with_what_is_known():
    replica = VirtualReplica(QUEUE)
    measuring = Measuring(replica, Task(), Recorder())
    measuring.begin()
    replica.run = lambda order, tell: (_ for _ in ()).throw(SizingError("gone"))
    assert (measuring.run().end, measuring.result().message) == ("failed", "")


def interrupted(after):
    """A measurement that Ctrl-C ends after so many steps."""
    replica = VirtualReplica(QUEUE)
    carry_out, left = replica.run, iter(range(after))

    def run(order, tell):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return carry_out(order, tell)

    replica.run = run
    measuring = Measuring(replica, Task(), Recorder())
    measuring.begin()
    with pytest.raises(KeyboardInterrupt):
        measuring.run()
    return measuring.result(end="interrupted")


def test_what_is_known_when_it_is_interrupted():
    nothing, doubling, bisecting = interrupted(1), interrupted(4), interrupted(9)
    assert (nothing.bracket.low, nothing.bracket.high, nothing.estimate) == (None, None, None)
    assert doubling.bracket.low == pytest.approx(4.0)
    assert doubling.bracket.high is None
    assert 16 <= bisecting.bracket.low < bisecting.bracket.high <= 64
    assert not bisecting.bracket.confirmed
    assert msgspec.json.encode(bisecting)


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        ("status_429", LimitMet, "refuses single requests: 100.0 % .*Raise that limit"),
        ("reset", NothingSustained, "single requests, one after the other, are not served: 100.0 %"),
    ],
)
def test_single_requests_that_are_not_served(error, raised, text):
    change = lambda record, rate: Record(record.due, record.sent, record.ended, error=error)  # noqa: E731
    with pytest.raises(raised, match=text):
        measure(VirtualReplica(QUEUE, change))


def test_too_few_single_answers():
    class Slow(VirtualReplica):
        def run(self, order, tell):
            step = super().run(order, tell)
            return msgspec.structs.replace(step, records=step.records[:2])

    with pytest.raises(NothingSustained, match="2 answers in 30 s"):
        measure(Slow(QUEUE))
