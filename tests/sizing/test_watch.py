import pytest

from aibrix_mw.sizing.client import Flight, Patience
from aibrix_mw.sizing.orders import Load
from aibrix_mw.sizing.schedule import Plan
from aibrix_mw.sizing.verdict import Bounds
from aibrix_mw.sizing.watch import MOST_IN_FLIGHT, Watch

ORDER = Load(Plan(10.0, 2.0, 10.0, 1.0), Bounds(0.5, 0.1), Patience(10.0, 5.0), drain=4.0)
START = 1000.0


def flight(at, first=None, last=None, ended=None, tokens=1, error="unfinished"):
    made = Flight(START + at)
    made.sent = START + at
    made.stream.first = None if first is None else START + at + first
    made.stream.last = None if last is None else START + at + last
    made.stream.tokens = tokens
    made.ended = None if ended is None else START + at + ended
    made.error = error
    return made


def look(flights, at):
    watch = Watch(ORDER, START)
    return watch.over(flights, START + at), watch


def good(at):
    return flight(at, 0.2, 0.6, 0.7, 11, "")


def test_a_step_goes_on_while_it_goes_well():
    over, watch = look([good(2 + number / 10) for number in range(50)] + [flight(8.0)], 8.1)
    assert not over
    assert (watch.progress.seconds, watch.progress.in_flight, watch.progress.ended) == (pytest.approx(8.1), 1, 50)
    assert watch.progress.first_p95 == pytest.approx(0.2)


def test_it_is_over_when_all_that_counts_is_answered():
    flights = [good(3.0), flight(12.5)]  # the second one does not count
    assert look(flights, 12.6)[0]
    assert not look([*flights, flight(11.9)], 12.6)[0]
    assert not look(flights, 11.0)[0]


def test_patience_ends():
    assert not look([flight(11.9)], 16.9)[0]
    over, watch = look([flight(11.9)], 17.0)
    assert over
    assert watch.stopped is None


@pytest.mark.parametrize(
    ("made", "stopped"),
    [
        (lambda: flight(3.0, 0.6, 0.6), "late"),
        (lambda: flight(3.0, 0.2, 1.5, 1.5, 11, ""), "late"),
        (lambda: flight(3.0, ended=0.1, error="status_500"), "errors"),
    ],
)
def test_it_ends_when_it_is_pointless_to_go_on(made, stopped):
    enough, few = [made() for _ in range(31)], [made() for _ in range(20)]
    assert look(enough, 5.0)[1].stopped == stopped
    assert look(few, 5.0)[1].stopped is None


def test_what_does_not_count_stops_nothing():
    assert look([flight(1.0, 0.6, 0.6) for _ in range(100)], 5.0)[1].stopped is None


def test_too_many_in_flight():
    over, watch = look([flight(1.0)] * (MOST_IN_FLIGHT + 1), 5.0)
    assert (over, watch.stopped) == (True, "in_flight")
