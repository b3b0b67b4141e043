"""Engines that break when asked for too much: the whole tool names why, with the simulated engine's own faults."""

from contextlib import closing

import pytest

from aibrix_mw.engine.faults import Fault
from aibrix_mw.sizing.measure import Measuring, Task
from tests.sizing.asgi_replica import EngineReplica
from tests.sizing.recorder import Recorder
from tests.sizing.virtual import Queue

KNEE = 9.0
QUEUE = Queue(64, 0.2, 4, 0.05)  # far more places than it is asked to fill: nothing queues


def every(fault, nth):
    """Above the knee, each nth request meets a fault."""

    def harm(engine, rate):
        strikes = iter(lambda: None, 0)
        numbers = enumerate(strikes)
        engine.faults.strike = lambda: fault if rate > KNEE and next(numbers)[0] % nth == 0 else Fault()

    return harm


def measure(harm):
    with closing(EngineReplica(QUEUE, harm)) as replica:
        measuring = Measuring(replica, Task(step_seconds=6.0), Recorder())
        measuring.begin()
        return measuring.run()


@pytest.mark.parametrize(
    ("fault", "nth", "kind", "text"),
    [
        (Fault(mode="error", status=503), 10, "errors", "failed: 503 a fault on demand of the simulated engine"),
        (Fault(mode="die", after_chunks=2), 10, "errors", "failed: the stream ended without [DONE]"),
        (Fault(mode="stall"), 10, "stall", "stalled: no byte for 10 s"),
        (Fault(mode="stall"), 1, "stall", "stalled: no byte for 10 s"),
        (Fault(mode="stall", after_chunks=3), 10, "stall", "stalled: no "),
    ],
    ids=["error", "die", "some silent", "all silent", "silent in mid-answer"],
)
def test_faults_of_the_engine(fault, nth, kind, text):
    measured = measure(every(fault, nth))
    assert (measured.reason.kind, text in measured.reason.text) == (kind, True), measured.reason
    assert measured.estimate.rate == pytest.approx(KNEE, rel=0.1)


def test_an_engine_that_degrades_in_latency_only():
    def harm(engine, rate):
        speed = 1.0 if rate <= KNEE else 0.3
        options = QUEUE._replace(token=QUEUE.token / speed).options()
        engine.scheduler._machine = type(engine.scheduler._machine)(
            options, engine.metrics, engine.scheduler.kv, engine._clock, engine.scheduler._machine.sleep
        )

    measured = measure(harm)
    assert measured.reason.kind == "per_token"
    assert measured.estimate.rate == pytest.approx(KNEE, rel=0.1)
    assert {step.figures.errors for step in measured.tried} == {0}


def test_a_healthy_engine_queues():
    with closing(EngineReplica(Queue(8, 0.2, 4, 0.05), lambda engine, rate: None)) as replica:
        measuring = Measuring(replica, Task(step_seconds=6.0), Recorder())
        measuring.begin()
        measured = measuring.run()
    assert measured.reason.kind == "first_token"
    assert 0.6 < measured.estimate.rate / (8 / 0.35) < 1.1
