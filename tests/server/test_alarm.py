"""One timer for many deadlines."""

import pytest

from aibrix_mw.server.alarm import Alarm
from tests.server.wire import Clock


@pytest.fixture
async def clock():
    return Clock()


@pytest.fixture
def rung():
    return []


@pytest.fixture
def alarm(clock, rung):
    return Alarm(clock, lambda: rung.append(clock.now))


async def test_it_rings_once_at_the_time_that_was_set_last(clock, alarm, rung):
    for seconds in (5, 3, 9, 6):
        alarm.set(seconds)
    for _ in range(20):
        clock.advance(1)
    assert rung == [6.0]
    assert clock.alarms == []


async def test_a_later_time_needs_no_other_timer(clock, alarm, rung):
    alarm.set(5)
    (timer,) = clock.alarms
    alarm.set(600)
    assert clock.alarms == [timer]
    clock.advance(5)
    assert [left.when for left in clock.alarms] == [600]
    clock.advance(595)
    assert rung == [600]


async def test_what_is_not_due_does_not_ring(clock, alarm, rung):
    alarm.set(5)
    alarm.due = float("inf")
    clock.advance(5)
    assert (rung, clock.alarms) == ([], [])
    alarm.set(1)
    clock.advance(1)
    assert rung == [6]


async def test_a_cancelled_one_leaves_no_timer(clock, alarm, rung):
    alarm.cancel()
    alarm.set(5)
    alarm.cancel()
    assert clock.alarms == []
