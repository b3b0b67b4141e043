from random import Random

from aibrix_mw.sizing.backlog import trend
from aibrix_mw.sizing.records import Record, Step
from aibrix_mw.sizing.schedule import Plan, arrivals


def step(takes, rate=30.0, seconds=None, measured=20.0):
    """A step whose requests take as long as a function of the instant says."""
    plan = Plan(rate, 5.0, measured)
    instants = arrivals(plan, Random(1))
    return Step(plan, [Record(due, due, due + takes(due)) for due in instants], seconds or plan.seconds)


def test_a_steady_number_in_flight_does_not_grow():
    found = trend(step(lambda due: 1.0))
    assert not found.grows
    assert 25 < found.mean < 35


def test_answers_that_take_longer_and_longer_are_a_backlog():
    found = trend(step(lambda due: 0.2 * due))
    assert found.grows
    assert found.growth > 60


def test_growth_that_does_not_matter_is_none():
    assert not trend(step(lambda due: 1 + due / 100)).grows


def test_noise_is_no_trend():
    rng = Random(2)
    assert not any(trend(step(lambda due: rng.expovariate(0.2), rate=3.0)).grows for _ in range(50))


def test_a_step_without_a_measured_part():
    assert not trend(step(lambda due: 1.0, seconds=4.0)).grows


def test_exact_growth_has_no_error():
    plan = Plan(10.0, 0.0, 80.0)
    records = [Record(second + 0.0, float(second), 1e6) for second in range(80) for _ in range(10)]
    assert trend(Step(plan, records, 80.0)).grows
