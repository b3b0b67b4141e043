"""Connections on which nothing happens are closed in time, and only those."""

import pytest

from aibrix_mw.server.bounds import Bounds
from tests.server.wire import CHUNKED, GET, POST, Clock, Held, Wire, get, whole


@pytest.fixture
async def clock():
    return Clock()


async def test_an_idle_connection_is_closed_in_time(clock):
    wire = Wire(whole(), clock, timeout_keep_alive=5)
    await wire.send(GET)
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed


async def test_one_alarm_serves_many_rests(clock):
    wire = Wire(whole(), clock, timeout_keep_alive=5)
    for _ in range(10):
        await wire.send(GET)
        assert len(clock.alarms) == 1
        clock.advance(1)
        assert not wire.closed
    clock.advance(3.9)
    assert not wire.closed
    assert len(clock.alarms) == 1
    clock.advance(0.1)
    assert wire.closed
    assert clock.alarms == []


@pytest.mark.parametrize("cut", [1, 20, len(GET)])
async def test_a_busy_connection_is_not_closed(clock, cut):
    wire = Wire(app := Held(), clock, timeout_keep_alive=5)
    app.gates["/1"].set()
    request = get(b"/2")
    await wire.send(get(b"/1"), request[:cut])
    clock.advance(5)
    await wire.send(request[cut:])
    clock.advance(100)
    assert not wire.closed
    await app.let(wire, "/2")
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed


async def test_a_head_that_began_under_another_answer_does_not_start_the_clock_of_its_own(clock):
    wire = Wire(app := Held(), clock, timeout_keep_alive=5)
    request = get(b"/2")
    await wire.send(get(b"/1"), request[:9])
    await app.let(wire, "/1")
    assert len(clock.alarms) == 1
    await wire.send(request[9:])
    clock.advance(5)
    assert not wire.closed
    await app.let(wire, "/2")
    clock.advance(5)
    assert wire.closed


async def test_a_body_that_stops_coming_after_an_early_answer(clock):
    wire = Wire(whole(status=413), clock, bounds=Bounds(body_timeout=5))
    await wire.send(POST)
    for byte in (b"f", b"o", b"o"):
        clock.advance(4.9)
        await wire.send(byte)
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed


async def test_a_body_that_ends_after_an_early_answer(clock):
    wire = Wire(whole(status=413), clock, timeout_keep_alive=5)
    await wire.send(CHUNKED)
    clock.advance(4)
    await wire.send(b"0\r\n\r\n")
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed


async def test_no_alarm_is_left_of_a_connection(clock):
    wire = Wire(whole(), clock)
    await wire.send(GET)
    await wire.leave()
    assert clock.alarms == []
