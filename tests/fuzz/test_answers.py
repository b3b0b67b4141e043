"""Bytes of an engine: an answer, or an UpstreamError, and the same however they are cut."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import UpstreamError
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.fuzz.cutting import cut, damaged
from tests.upstream.asking import ask, read_all, within
from tests.upstream.raw_engine import RawEngine, answering, in_turn

STATUS = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 204 No",
    b"HTTP/1.1 100 Go",
    b"HTTP/1.1 503 x",
    b"HTTP/1.0 200 OK",
    b"HTTP/2 200",
    b"ICY 200",
]
FIELDS = [
    b"Content-Length: 3",
    b"Content-Length: 4",
    b"content-length: 3, 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: x",
    b"Content-Type: text/event-stream",
    b"X-A: " + b"x" * 30,
    b" folded",
]
BODIES = [
    b"",
    b"abc",
    b"abcd",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x\r\nabc\r\n1\r\nd\r\n0\r\nt: 1\r\n\r\n",
    b"3\r\nab",
    b"0_3\r\nabc\r\n",
]


@st.composite
def answers(draw):
    """An answer, maybe after an interim one, maybe damaged: in one piece and in several."""
    raw = b""
    for _ in range(draw(st.integers(1, 2))):
        fields = draw(st.lists(st.sampled_from(FIELDS), max_size=3))
        raw += b"\r\n".join([draw(st.sampled_from(STATUS)), *fields, b"", draw(st.sampled_from(BODIES))])
    raw = draw(damaged(raw)) or b"x"
    return raw, draw(cut(raw))


async def outcome_of(upstream, engine):
    """Status, headers and body, or why there are none; the part of a body before an error is there too."""
    body = bytearray()
    try:
        answer = await upstream.send(ask(engine.address), within())
        head = answer.status, list(answer.headers)
        await read_all(answer, body)
    except UpstreamError as error:
        return error.reason, bytes(body)
    return head, bytes(body)


@given(answers())
def test_answers(case):
    raw, pieces = case

    async def compare():
        script = in_turn(answering(raw, then_close=True), answering(pieces, then_close=True))
        async with RawEngine(script) as engine:
            outcomes = []
            for _ in range(2):
                upstream = Http1Upstream()
                outcomes.append(await outcome_of(upstream, engine))
                await upstream.aclose()
        (first, body), (second, body_in_pieces) = outcomes
        assert first == second
        if isinstance(first, tuple):
            assert body == body_in_pieces

    asyncio.run(compare())
