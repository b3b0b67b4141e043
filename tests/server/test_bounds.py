"""What a client may send before there is a request: so many bytes, so many fields, and no longer than so long."""

import json

import pytest

from aibrix_mw.server.bounds import Bounds
from tests.server.wire import BODY, CHUNKED, GET, POST, Clock, Held, Listening, Wire, echo, get, settle, start, whole

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def clock():
    return Clock()


def head_of(size, name=b"a"):
    """A head of so many bytes, in one field."""
    return GET.replace(b"host: a", b"host: a\r\n%b: " % name + b"x" * (size - len(GET) - len(name) - 4))


def fields(count):
    """A head of so many fields."""
    return GET.replace(b"host: a", b"host: a" + b"".join(b"\r\nx-%d: 1" % number for number in range(count - 1)))


def in_pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- bytes and fields


@pytest.mark.parametrize("size", [100_000, 65_536, 30_000, 777])
async def test_a_head_may_have_so_many_bytes_and_no_more(size):
    for length, status in ((65_536, OK), (65_537, TOO_LARGE)):
        wire = Wire(whole())
        head = head_of(length)
        assert len(head) == length
        assert (await wire.send(*in_pieces(head, size))).startswith(status), length


@pytest.mark.parametrize("size", [100_000, 30_000, 500])
async def test_a_head_may_have_so_many_fields_and_no_more(size):
    assert (await Wire(whole()).send(*in_pieces(fields(100), size))).startswith(OK)
    assert (await Wire(whole()).send(*in_pieces(fields(101), size))).startswith(TOO_LARGE)


START = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize("part", [b"GET /", START + b"host: a\r\na: ", START + b"b: 1\r\n" * 90])
@pytest.mark.parametrize("size", [65_537, 4096])
async def test_what_has_no_end_is_refused_when_it_is_too_large(part, size):
    wire = Wire(app := Held())
    answer = await wire.send(*in_pieces(part + b"x" * (65_537 - len(part)), size))
    assert answer.startswith(TOO_LARGE)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"
    assert app.begun == []


async def test_fields_without_an_end():
    answer = await Wire(whole()).send(fields(102)[:-4])
    assert answer.startswith(TOO_LARGE)


async def test_bounds_are_settings():
    bounds = Bounds(max_header_bytes=200, max_headers=2)
    for request, status in ((head_of(200), OK), (head_of(201), TOO_LARGE), (fields(2), OK), (fields(3), TOO_LARGE)):
        assert (await Wire(whole(), bounds=bounds).send(request)).startswith(status)


async def test_many_requests_in_one_piece_are_not_one_large_one():
    wire = Wire(whole(), bounds=Bounds(max_header_bytes=100))
    assert (await wire.send(GET * 20)).count(OK) == 20
    assert (await wire.send(POST + b"foobar" + GET * 9 + GET[:9], GET[9:])).count(OK) == 11
    assert (await wire.send(POST + b"foo", b"bar" + GET[:9], GET[9:])).count(OK) == 2
    long = POST.replace(b" 6\r", b" 500\r") + b"x" * 400
    assert (await wire.send(long, b"x" * 100 + GET[:9], GET[9:])).count(OK) == 2


@pytest.mark.parametrize("before", [GET, POST + b"foobar", CHUNKED + b"0\r\n\r\n"])
async def test_behind_another_request_a_head_is_bounded_too(before):
    for pieces in ([before + head_of(65_537)], [before + head_of(65_537)[:60_000], head_of(65_537)[60_000:]]):
        answer = await Wire(whole()).send(*pieces)
        assert answer.startswith(OK)
        assert answer.count(b"HTTP/1.1 ") == len(pieces)  # in one piece, the answer before it is the last
    wire = Wire(whole())
    assert (await wire.send(before + GET[:-2] + b"a: ", b"x" * 65_537)).count(TOO_LARGE) == 1


async def test_who_is_refused_for_size_can_read_the_answer_while_it_still_sends(clock):
    wire = Wire(whole(), clock)
    assert (await wire.send(head_of(70_000)[:66_000], b"x" * 1000)).startswith(TOO_LARGE)
    assert wire.transport.ended
    assert not wire.closed
    assert await wire.send(b"\r\n\r\n" + GET) == b""
    clock.advance(1)
    assert wire.closed


async def test_who_cannot_be_told_to_listen_is_left(clock):
    wire = Wire(whole(), clock)
    wire.transport.can_write_eof = lambda: False  # TLS
    assert (await wire.send(fields(101))).startswith(TOO_LARGE)
    assert wire.closed


@pytest.mark.parametrize("around", [b"3;" + b"x" * 70_000, b"0\r\na: " + b"x" * 70_000, b"0\r\n" + b"a: b\r\n" * 101])
@pytest.mark.parametrize("size", [100_000, 5000])
async def test_what_is_around_a_body_is_bounded(around, size):
    pieces = in_pieces(around, size) if len(around) > 5000 else [around]
    answer = await Wire(app := Listening()).send(CHUNKED, *pieces, b"x" * 5000)
    assert answer.startswith(TOO_LARGE)
    assert app.heard == []


# --- time


@pytest.mark.parametrize("pieces", [[], [b"\r\n"], [GET[:1]], [GET[:1], GET[1:20], GET[20:-1]]])
async def test_a_head_must_be_there_in_time(clock, pieces):
    wire = Wire(app := Held(), clock, bounds=Bounds(header_timeout=5))
    for piece in pieces:
        clock.advance(1)
        await wire.send(piece)
    clock.advance(4.9 - len(pieces))
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed
    assert wire.taken().startswith(TOO_SLOW if GET[:1] in pieces else b"")
    assert app.begun == []


@pytest.mark.parametrize("before", [GET, POST + b"foobar"])
async def test_the_time_of_the_next_head_runs_from_its_first_byte(clock, before):
    wire = Wire(whole(), clock, bounds=Bounds(header_timeout=5), timeout_keep_alive=100)
    await wire.send(before)
    clock.advance(90)
    await wire.send(GET[:1])
    clock.advance(4.9)
    await wire.send(GET[1:2])
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed
    assert wire.taken().startswith(TOO_SLOW)


async def test_a_slow_head_behind_a_running_request_does_not_take_its_answer(clock):
    wire = Wire(app := Held(), clock, bounds=Bounds(header_timeout=5))
    await wire.send(get(b"/1") + GET[:9])
    clock.advance(5)
    assert not wire.closed
    assert (await app.let(wire, "/1")).endswith(b"0\r\n\r\n")
    assert wire.closed


async def test_a_head_that_we_do_not_read_has_time(clock):
    wire = Wire(app := Held(), clock, bounds=Bounds(header_timeout=5))
    await wire.send(get(b"/1") + get(b"/2") + get(b"/3")[:9])
    assert [wire.transport.reading] == [False]
    clock.advance(7)
    await app.let(wire, "/1")
    assert wire.transport.reading
    clock.advance(4.9)
    await wire.send(get(b"/3")[9:])
    await app.let(wire, "/2")
    await app.let(wire, "/3")
    assert app.begun == ["/1", "/2", "/3"]
    assert not wire.closed


async def test_a_body_must_go_on(clock):
    wire = Wire(app := Listening(), clock, bounds=Bounds(body_timeout=5))
    await wire.send(POST)
    assert await app.next() is None
    for byte in (b"f", b"o", b"o"):
        clock.advance(4.9)
        await wire.send(byte)
        await app.next()
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    await settle()
    assert wire.taken().startswith(TOO_SLOW)
    assert wire.closed
    assert app.heard[-1] == {"type": "http.disconnect"}


async def test_what_is_around_a_body_is_no_progress(clock):
    wire = Wire(app := Listening(), clock, bounds=Bounds(body_timeout=5))
    await wire.send(CHUNKED)
    await app.next()
    for byte in b"3;xx":
        clock.advance(1)
        await wire.send(bytes([byte]))
    assert not wire.closed
    clock.advance(1)
    assert wire.closed


async def test_a_body_that_nobody_asks_for_has_time(clock):
    wire = Wire(app := Listening(), clock, bounds=Bounds(body_timeout=5))
    await wire.send(POST)
    clock.advance(100)
    assert not wire.closed
    assert await app.next() is None
    clock.advance(4.9)
    assert not wire.closed
    clock.advance(0.1)
    assert wire.closed


async def test_a_slow_body_under_its_answer_ends_it(clock):
    async def app(_scope, receive, send):
        await send(start())
        await send({"type": BODY, "body": b"part", "more_body": True})
        await receive()

    wire = Wire(app, clock, bounds=Bounds(body_timeout=5))
    assert (await wire.send(POST)).endswith(b"\r\n\r\n4\r\npart\r\n")
    clock.advance(5)
    assert (wire.closed, wire.taken()) == (True, b"")


async def test_a_request_that_is_there_has_all_the_time(clock):
    wire = Wire(app := Held(), clock, bounds=Bounds(header_timeout=5, body_timeout=5), timeout_keep_alive=5)
    await wire.send(POST + b"foo", b"bar")
    clock.advance(1000)
    assert (await app.let(wire, "/")).endswith(b"0\r\n\r\n")
    assert not wire.closed


async def test_one_timer_serves_requests_in_pieces(clock):
    wire = Wire(echo, clock, bounds=Bounds(header_timeout=5, body_timeout=5))
    (timer,) = clock.alarms
    for _ in range(10):
        assert (await wire.send(GET[:9], GET[9:], POST, b"foo", b"bar")).count(OK) == 2
    assert clock.alarms == [timer]
