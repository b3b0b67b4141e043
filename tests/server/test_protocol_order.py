"""One request after the other on a connection: pipelining, and the last answer of a process."""

import asyncio

from tests.server.wire import CHUNKED, GET, POST, Clock, Held, Wire, echo, get, settle, whole


def head(path):
    return b"HTTP/1.1 200 OK\r\nx: %b\r\ntransfer-encoding: chunked\r\n\r\n" % path


END = b"0\r\n\r\n"
THREE = get(b"/1") + get(b"/2") + get(b"/3")


# --- pipelining


async def test_one_after_the_other():
    wire = Wire(app := Held())
    app.gates["/2"].set()
    assert await wire.send(THREE) == head(b"/1")
    assert app.begun == ["/1"]
    assert not wire.transport.is_reading()
    assert await app.let(wire, "/1") == END + head(b"/2") + END + head(b"/3")
    assert app.begun == ["/1", "/2", "/3"]
    assert wire.transport.is_reading()
    assert await app.let(wire, "/3") == END
    assert (wire.closed, wire.protocol.tasks) == (False, set())


async def test_nothing_more_is_read_while_requests_wait():
    wire = Wire(app := Held())
    await wire.send(THREE)
    await app.let(wire, "/1")
    assert not wire.transport.is_reading()
    await app.let(wire, "/2")
    assert wire.transport.is_reading()


async def test_a_body_that_is_still_to_come_behind_another_answer():
    wire = Wire(app := Held())
    app.gates["/2"].set()
    await wire.send(get(b"/1") + POST.replace(b"/", b"/2", 1) + b"foo", b"bar")
    assert await app.let(wire, "/1") == END + head(b"/2") + b"6\r\nfoobar\r\n" + END


async def test_those_that_wait_are_dropped_when_the_client_leaves():
    wire = Wire(app := Held())
    await wire.send(THREE)
    await wire.leave()
    assert await app.let(wire, "/1") == b""
    assert (app.begun, wire.protocol.tasks) == (["/1"], set())


async def test_those_behind_a_close_are_dropped():
    wire = Wire(app := Held())
    await wire.send(get(b"/1") + get(b"/2").replace(b"host: a", b"connection: close") + get(b"/3"))
    await app.let(wire, "/1")
    assert await app.let(wire, "/2") == END
    assert (app.begun, wire.closed) == (["/1", "/2"], True)


async def test_an_answer_that_breaks_takes_those_that_wait_with_it(log):
    wire = Wire(app := Held())
    await wire.send(get(b"/1") + get(b"/2"))
    (task,) = wire.protocol.tasks
    task.cancel()
    await settle()
    assert (app.begun, wire.closed, wire.protocol.tasks) == (["/1"], True, set())


async def test_a_malformed_body_behind_another_answer_is_not_begun():
    wire = Wire(app := Held())
    await wire.send(get(b"/1") + get(b"/2") + CHUNKED, b"x\r\n", b"y")
    await app.let(wire, "/1")
    assert await app.let(wire, "/2") == END
    assert (app.begun, wire.closed) == (["/1", "/2"], True)


async def test_a_malformed_body_behind_the_only_answer():
    wire = Wire(app := Held())
    await wire.send(get(b"/1") + CHUNKED + b"x\r\n", b"y")
    assert await app.let(wire, "/1") == END
    assert (app.begun, wire.closed) == (["/1"], True)


async def test_the_callback_of_one_request_is_not_taken_back_by_the_one_before():
    """However large its last piece: who has said everything does not wait for the client to read it."""

    async def app(scope, receive, send):
        subscribe = scope["extensions"]["aibrix_mw.on_disconnect"]
        if scope["path"] == "/2":
            subscribe(lambda: left.append(2))
            await asyncio.Event().wait()
        subscribe(lambda: left.append(1))
        await whole(b"large")(scope, receive, send)
        subscribe(None)

    left = []
    wire = Wire(app)
    wire.transport.write = lambda _data: wire.protocol.pause_writing()
    await wire.send(get(b"/1") + get(b"/2"))
    await wire.leave()
    assert left == [2]
    for task in wire.protocol.tasks:
        task.cancel()
    await settle()


# --- the last answer of a process


async def test_an_idle_connection_is_closed_at_shutdown():
    for sent in ((GET,), (GET, POST + b"foobar")):
        wire = Wire(echo)
        await wire.send(*sent)
        wire.protocol.shutdown()
        assert wire.closed


async def test_a_connection_just_made_may_still_bring_one_request():
    clock = Clock()
    used, unused = Wire(echo, clock), Wire(echo, clock)
    used.protocol.shutdown()
    unused.protocol.shutdown()
    assert not used.closed
    answer = await used.send(POST + b"foobar")
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nfoobar"
    assert (used.closed, unused.closed) == (True, False)
    clock.advance(1)
    assert unused.closed


async def test_an_answer_that_is_owed_is_the_last():
    wire = Wire(echo)
    await wire.send(POST)
    wire.protocol.shutdown()
    assert not wire.closed
    answer = await wire.send(b"foobar")
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nfoobar"
    assert wire.closed


async def test_a_request_that_has_begun_to_arrive_is_owed_an_answer():
    wire = Wire(echo)
    await wire.send(GET, POST[:20])
    wire.protocol.shutdown()
    assert not wire.closed
    answer = await wire.send(POST[20:] + b"foobar")
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nfoobar"
    assert wire.closed


async def test_the_rest_of_a_body_that_has_its_answer_is_not_waited_for():
    wire = Wire(whole())
    await wire.send(POST, b"foo")
    wire.protocol.shutdown()
    assert wire.closed


async def test_all_that_are_owed_are_answered_before_the_end():
    wire = Wire(app := Held())
    await wire.send(get(b"/1") + get(b"/2"))
    wire.protocol.shutdown()
    assert (await app.let(wire, "/1")).endswith(b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
    assert not wire.closed
    await app.let(wire, "/2")
    assert wire.closed
