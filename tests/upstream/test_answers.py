"""Well-formed answers: what arrives is what the engine said."""

import gzip

import pytest

from aibrix_mw.upstream.base import Upstream
from tests.upstream.asking import CHUNKED, HEAD, OK, ask, chunks_of, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, answering

SSE = b'data: {"a": "\xc3\xa9"}\n\ndata: {"b"\n\n: note\n\ndata: [DONE]\n\n'

COMPLETE = {
    "length": (HEAD + b"content-length: 5\r\n\r\nhello", b"hello"),
    "padded length": (HEAD + b"content-length:   5  \r\n\r\nhello", b"hello"),
    "empty": (HEAD + b"content-length: 0\r\n\r\n", b""),
    "chunked": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    "chunked in capitals": (HEAD + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "empty chunked": (CHUNKED + b"0\r\n\r\n", b""),
    "extensions": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n", b"hello"),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b""),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK, b"ok"),
}
UNTIL_CLOSE = {
    "no framing": (HEAD + b"x-a: 1\r\n\r\nhello", b"hello"),
    "no body": (HEAD + b"\r\n", b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "an error": (b"HTTP/1.1 500 Oh\r\nconnection: close\r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize(("answer", "body"), COMPLETE.values(), ids=COMPLETE)
async def test_a_complete_answer_ends_and_its_connection_serves_the_next(
    upstream: Upstream, run: Engines, answer: bytes, body: bytes
):
    engine = await run(answering(answer, OK))
    got, content = await fetch(upstream, engine)
    assert (content, got.ended) == (body, True)
    assert await got.read() == b""
    got.close()
    assert (await fetch(upstream, engine))[1] == b"ok"
    assert len(engine.peers) == 1


@pytest.mark.parametrize(("answer", "body"), UNTIL_CLOSE.values(), ids=UNTIL_CLOSE)
async def test_an_answer_may_end_with_its_connection(upstream: Upstream, run: Engines, answer: bytes, body: bytes):
    engine = await run(answering(answer, then_close=True))
    for number in range(2):
        got, content = await fetch(upstream, engine)
        assert (content, got.ended) == (body, True)
        assert len(engine.peers) == number + 1


async def test_status_and_headers_are_the_engines_in_their_order(upstream: Upstream, run: Engines):
    engine = await run(
        answering(
            b"HTTP/1.1 429 Slow\r\nX-B: 1\r\nx-a: \xc3\xbc\r\nset-cookie: a\r\nX-B:2\r\nContent-Length: 0\r\n\r\n"
        )
    )
    answer, _ = await fetch(upstream, engine)
    assert answer.status == 429
    assert answer.headers == [
        (b"x-b", b"1"), (b"x-a", b"\xc3\xbc"), (b"set-cookie", b"a"), (b"x-b", b"2"), (b"content-length", b"0")
    ]  # fmt: skip


async def test_neither_interim_headers_nor_trailers_are_headers_of_the_answer(upstream: Upstream, run: Engines):
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    engine = await run(answering(interim + CHUNKED + b"2\r\nok\r\n0\r\nx-late: 1\r\n\r\n"))
    answer, body = await fetch(upstream, engine)
    assert (body, answer.headers) == (b"ok", [(b"transfer-encoding", b"chunked")])


async def test_a_compressed_body_stays_compressed(upstream: Upstream, run: Engines):
    """F16."""
    body = gzip.compress(b"hello" * 100)
    engine = await run(answering(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body))
    answer, content = await fetch(upstream, engine, headers=[(b"accept-encoding", b"gzip")])
    assert content == body
    assert answer.headers == [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]


async def test_events_pass_unchanged_and_at_once(upstream: Upstream, run: Engines):
    """Each chunk can be read before the engine sends the next, however its lines are cut."""
    cuts = [SSE[:7], SSE[7:14], SSE[14:30], SSE[30:]]
    steps = iter(cuts)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for piece in cuts:
            peer.arrived.clear()
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await peer.arrived.wait()  # set by the reader
        await peer.send(b"0\r\n\r\n")
        await peer.until_gone()

    engine = await run(script)
    answer = await upstream.send(ask(engine.address), within())
    async for chunk in chunks_of(answer):
        assert chunk == next(steps)
        engine.peers[0].arrived.set()
    assert answer.ended


async def test_the_end_is_known_with_the_last_byte(upstream: Upstream, run: Engines):
    engine = await run(answering(OK, HEAD + b"content-length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"))
    answer = await upstream.send(ask(engine.address), within())
    assert (await answer.read(), answer.ended) == (b"ok", True)
    for _ in range(2):
        assert (await upstream.send(ask(engine.address), within())).ended
    assert len(engine.peers) == 1


async def test_a_large_answer_arrives_whole(upstream: Upstream, run: Engines):
    body = bytes(range(256)) * 8192
    engine = await run(answering(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body))
    assert (await fetch(upstream, engine))[1] == body


async def test_an_answer_with_the_largest_head(upstream: Upstream, run: Engines):
    fields = b"".join(b"x-%02d: 1\r\n" % number for number in range(98))
    filler = b"x-filler: " + b"a" * (65536 - 2000 - len(fields)) + b"\r\n"
    engine = await run(answering([HEAD + fields, filler, b"content-length: 200000\r\n\r\n" + bytes(200_000)]))
    answer, body = await fetch(upstream, engine)
    assert (len(answer.headers), len(body)) == (100, 200_000)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("framing", [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b""])
async def test_a_body_that_must_not_be_is_dropped(upstream: Upstream, run: Engines, status: bytes, framing: bytes):
    """F15: and the next request works."""
    engine = await run(answering(b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\nhello", OK, then_close=True))
    answer = await upstream.send(ask(engine.address), within())
    assert (await read_all(answer), answer.ended) == (b"", True)
