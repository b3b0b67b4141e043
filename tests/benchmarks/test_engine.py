"""The mock engine and the scanners that find where a message ends."""

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest

from .engine import Engine, Pod, page
from .scanner import AnswerError, AnswerScanner, request_end
from .traffic import CHUNKS, KINDS, answer_bytes, completion, events, request, request_body

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\na;x=1\r\n0123456789\r\n0\r\n\r\n"


# what goes over the wire


@pytest.mark.parametrize("kind", KINDS)
def test_each_request_has_a_json_body_of_900_bytes(kind: str) -> None:
    body = request_body(kind)
    assert len(body) == 900
    assert json.loads(body)["stream"] is (kind != "json")
    assert request_end(request(kind, 80)) == len(request(kind, 80))


def test_answers_have_the_stated_sizes() -> None:
    assert 280 < len(completion()) < 340
    assert len(events()) == CHUNKS
    assert answer_bytes("spaced") == answer_bytes("sse") == len(b"".join(events()))


# the scanners


@pytest.mark.parametrize(("answer", "seen"), [(PLAIN, (200, 5)), (CHUNKED, (429, 13))])
def test_an_answer_ends_in_the_same_place_wherever_it_is_split(answer: bytes, seen: tuple[int, int]) -> None:
    for at in range(1, len(answer)):
        scanner = AnswerScanner()
        assert scanner.feed(answer[:at]) is None
        assert scanner.feed(answer[at:]) == seen
        assert scanner.feed(answer) == seen


def test_an_answer_is_read_byte_by_byte() -> None:
    scanner = AnswerScanner()
    assert [scanner.feed(bytes([byte])) for byte in CHUNKED][-2:] == [None, (429, 13)]


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN + b"x",
        CHUNKED + b"x",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_an_answer_that_is_badly_framed_is_an_error(answer: bytes) -> None:
    with pytest.raises(AnswerError):
        AnswerScanner().feed(answer)


@pytest.mark.parametrize(
    "message",
    [
        b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_a_request_ends_where_its_body_ends(message: bytes) -> None:
    assert request_end(message + b"GET") == len(message)
    assert not any(request_end(message[:at]) for at in range(len(message)))


# the mock engine


class FakeLoop:
    """Runs each timer at once."""

    def time(self) -> float:
        return 0.0

    def call_at(self, _when: float, callback: Callable[..., None], *arguments: object) -> None:
        callback(*arguments)


class StoppedLoop(FakeLoop):
    """Keeps its timers until the test lets the next one run."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def call_at(self, _when: float, callback: Callable[..., None], *arguments: object) -> None:
        self.timers.append(partial(callback, *arguments))

    def step(self) -> None:
        (timer,) = self.timers
        self.timers.clear()
        timer()


class FakeTransport:
    """Collects what is written, through the transport or past it through the socket."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def write(self, data: bytes) -> None:
        os.write(self.write_end, data)

    def get_extra_info(self, _name: str) -> "FakeTransport":
        return self

    def fileno(self) -> int:
        return self.write_end

    def written(self) -> bytes:
        os.close(self.write_end)
        with os.fdopen(self.read_end, "rb") as pipe:
            return pipe.read()


def answer_of_engine(*parts: bytes) -> bytes:
    transport = FakeTransport()
    engine = Engine(Pod(cast("asyncio.AbstractEventLoop", FakeLoop())))
    engine.connection_made(cast("asyncio.Transport", transport))
    for part in parts:
        engine.data_received(part)
    return transport.written()


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_answers_as_the_load_expects(kind: str) -> None:
    data = request(kind, 80)
    assert AnswerScanner().feed(answer_of_engine(data[:100], data[100:])) == (200, answer_bytes(kind))


def test_the_engine_answers_two_requests_that_arrive_together() -> None:
    once = answer_of_engine(request("json", 80))
    assert answer_of_engine(request("json", 80) * 2) == once * 2


def test_a_pod_gives_each_stream_a_chunk_a_step_and_forgets_one_whose_client_left() -> None:
    loop = StoppedLoop()
    pod = Pod(cast("asyncio.AbstractEventLoop", loop))
    stays, leaves = (cast("asyncio.Transport", FakeTransport()) for _ in range(2))
    pod.begin(stays, 0.005)
    pod.begin(leaves, 0.005)
    loop.step()
    pod.end(leaves)
    for _ in range(CHUNKS - 1):
        loop.step()
    assert loop.timers == []
    assert AnswerScanner().feed(cast("FakeTransport", stays).written()) == (200, answer_bytes("spaced"))
    assert cast("FakeTransport", leaves).written().count(b"data: ") == 1


def test_the_engine_has_the_pages_that_routers_ask_for() -> None:
    for path in (b"/health", b"/v1/models", b"/metrics?x=1"):
        assert page(b"GET %s HTTP/1.1\r\n\r\n" % path).startswith(b"HTTP/1.1 200 OK\r\n")
    assert page(b"GET /nothing HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
