"""What an answer is on the wire: its head, its framing, and what becomes of one that goes wrong."""

import asyncio
import logging

import pytest

from tests.server.wire import BODY, FAILED, GET, POST, Wire, answer_of, saying, settle, start, whole

HEAD = GET.replace(b"GET", b"HEAD")
OLD = GET.replace(b"1.1", b"1.0")
LENGTH = (b"content-length", b"5")
MORE = {"type": BODY, "body": b"hello", "more_body": True}
LAST = {"type": BODY, "body": b"world"}
END = {"type": BODY}


async def test_a_whole_answer_is_one_write():
    wire = Wire(whole(b"hello", (b"x-a", b"1"), (b"x-a", b"2")))
    wire.protocol.data_received(GET)
    await settle()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\nx-a: 2\r\n\r\n"
    assert wire.transport.writes == [head + b"hello"]
    assert not wire.closed
    assert wire.protocol.tasks == set()


async def test_a_stream_is_chunks():
    wire = Wire(saying(start(), MORE, {"type": BODY, "more_body": True}, MORE, END))
    wire.protocol.data_received(GET)
    await settle()
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert wire.transport.writes == [head + b"5\r\nhello\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"]
    assert not wire.closed


async def test_the_last_chunk_and_the_end_are_one_write():
    answer = await answer_of(saying(start((b"transfer-encoding", b"chunked")), LAST))
    assert answer == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n"


async def test_an_empty_piece_sends_the_head():
    wire = Wire(saying(start(LENGTH), {"type": BODY, "more_body": True}, LAST))
    wire.protocol.data_received(GET)
    await settle()
    assert wire.transport.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"world"]


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, b"200 OK"), (299, b"299 "), (431, b"431 Request Header Fields Too Large"), (600, b"600 "), (999, b"999 ")],
)
async def test_the_status_line(status, line):
    assert (await answer_of(whole(status=status))).startswith(b"HTTP/1.1 %b\r\n" % line)


@pytest.mark.parametrize(
    ("request_", "app", "fields"),
    [
        (HEAD, whole(b"hello"), b"content-length: 5\r\n"),
        (HEAD, saying(start(), MORE, LAST), b""),
        (GET, saying(start(LENGTH, (b"Transfer-Encoding", b"chunked"), status=204), END), b""),
        (GET, saying(start((b"Content-Length", b"0"), (b"x", b"y"), status=204), MORE, END), b"x: y\r\n"),
        (GET, saying(start(LENGTH, status=304), END), b"content-length: 5\r\n"),
        (GET, saying(start(status=304), END), b""),
    ],
)
async def test_answers_without_a_body(request_, app, fields):
    wire = Wire(app)
    answer = await wire.send(request_)
    assert answer.partition(b"\r\n")[2] == fields + b"\r\n"
    assert await wire.send(request_) == answer, "the connection goes on"


@pytest.mark.parametrize("version", [b"0.9", b"1.0", b"2.0"])
async def test_other_versions_know_no_chunks_and_are_closed(version):
    wire = Wire(saying(start(), MORE, LAST))
    request = b"GET / HTTP/%b\r\nconnection: keep-alive\r\n\r\n" % version
    assert await wire.send(request) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhelloworld"
    assert wire.closed


async def test_http_1_0_with_a_length():
    wire = Wire(whole(b"hello"))
    assert await wire.send(OLD) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    assert wire.closed


async def test_the_client_wants_it_closed():
    wire = Wire(whole(b"hello"))
    answer = await wire.send(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n" + GET)
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    assert wire.closed


async def test_the_application_wants_it_closed():
    wire = Wire(whole(b"hello", (b"Connection", b"Close")))
    assert (await wire.send(GET)).count(b"lose\r\n") == 1
    assert wire.closed


async def test_upper_case_names_frame_too():
    app = saying(start((b"Content-Length", b"5")), LAST)
    assert await answer_of(app) == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld"


# --- applications that go wrong


def failing(*messages, error=ValueError):
    async def app(scope, receive, send):
        await saying(*messages)(scope, receive, send)
        raise error

    return app


@pytest.mark.parametrize(
    "app",
    [
        failing(),
        failing(start(LENGTH)),
        failing(error=SystemExit),
        saying(),
        saying(start()),
        saying(MORE),
        saying(start(), start(), END),
        saying({"type": "http.response.trailers"}),
        saying(start(LENGTH), {"type": BODY, "body": b"too long"}),
        saying(start(LENGTH), {"type": BODY, "body": b"x"}),
    ],
)
async def test_what_breaks_before_its_first_byte_is_a_500(app, log, caplog):
    wire = Wire(app)
    answer = await wire.send(GET)
    assert answer.startswith(FAILED)
    assert answer.endswith(b"\r\nconnection: close\r\n\r\nInternal Server Error")
    assert answer.count(b"HTTP/1.1") == answer.count(b"\r\n\r\n") == 1
    assert wire.closed
    assert wire.protocol.tasks == set()
    assert [record.levelno for record in caplog.records if record.name == "aibrix_mw"] == [logging.ERROR]
    assert log()[0].startswith("the application has ")


@pytest.mark.parametrize(
    "app",
    [
        failing(start(), MORE),
        saying(start(), MORE),
        saying(start(), MORE, start()),
        saying(start((b"content-length", b"6")), MORE, LAST),
        saying(start((b"content-length", b"11")), MORE, LAST),
    ],
)
async def test_what_breaks_after_its_first_byte_is_cut(app, log):
    wire = Wire(app)
    answer = await wire.send(GET)
    assert answer.endswith((b"\r\n\r\nhello", b"\r\n\r\n5\r\nhello\r\n"))
    assert wire.closed
    assert wire.protocol.tasks == set()
    assert len(log()) == 1


@pytest.mark.parametrize("app", [failing(start(LENGTH), LAST), saying(start(LENGTH), LAST, LAST)])
async def test_what_breaks_after_its_end_hurts_nobody(app, log):
    wire = Wire(app)
    whole_answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nworld"
    assert [await wire.send(GET) for _ in range(2)] == [whole_answer] * 2
    assert not wire.closed
    assert len(log()) == 2


@pytest.mark.parametrize(
    "app",
    [
        saying(start((b"content-length", b"many")), LAST),
        saying(start((b"x", b"a\r\nset-cookie: b")), LAST),
        saying(start((b"x", b"a\nb")), LAST),
        saying(start((b"x", b"a\rb")), LAST),
        saying(start((b"x", b"a\0b")), LAST),
        saying(start((b"x\r\n", b"a")), LAST),
        saying(start((b"x", b"a\rb\n")), LAST),
        saying(start(("x", "y")), LAST),
    ],
)
async def test_a_head_that_cannot_be_made_is_not_sent_in_part(app, log):
    """As under uvicorn; the simulated engine hangs up by this."""
    wire = Wire(app)
    assert await wire.send(GET) == b""
    assert wire.closed
    assert len(log()) == 1


async def test_a_failure_after_the_client_has_left_writes_nothing(log):
    left = asyncio.Event()

    async def app(_scope, _receive, _send):
        await left.wait()
        raise ValueError

    wire = Wire(app)
    await wire.send(GET)
    await wire.leave()
    left.set()
    await settle()
    assert wire.taken() == b""
    assert len(log()) == 1


async def test_cancelled_is_closed_without_a_word(log):
    wire = Wire(wait_forever)
    wire.protocol.data_received(POST)
    await settle()
    (task,) = wire.protocol.tasks
    task.cancel()
    await settle()
    assert (wire.taken(), wire.closed, wire.protocol.tasks, log()) == (b"", True, set(), [])


async def wait_forever(_scope, _receive, _send):
    await asyncio.Event().wait()
