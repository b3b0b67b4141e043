"""Answers that are not unmistakably one answer are errors, and their connection serves nobody else."""

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.upstream.base import Upstream
from tests.upstream.asking import CHUNKED, HEAD, OK, ask, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, answering, in_turn

BAD_HEADS = {
    "F2 both framings": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "F2 both, other order": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "F2 two lengths": HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "F2 length +3": HEAD + b"content-length: +3\r\n\r\nabc",
    "F2 length -1": HEAD + b"content-length: -1\r\n\r\nabc",
    "F2 length empty": HEAD + b"content-length:\r\n\r\nabc",
    "F2 length junk": HEAD + b"content-length: junk\r\n\r\nabc",
    "F2 length 0x3": HEAD + b"content-length: 0x3\r\n\r\nabc",
    "F2 length 3_0": HEAD + b"content-length: 3_0\r\n\r\nabc",
    "F2 length 3, 4": HEAD + b"content-length: 3, 4\r\n\r\nabc",
    "F2 length too large": HEAD + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "F3 chunked twice": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "F3 chunked, chunked": HEAD + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "F3 gzip, chunked": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "F3 chunked, gzip": HEAD + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "F3 identity": HEAD + b"transfer-encoding: identity\r\n\r\nabc",
    "F10 101 fields": HEAD + b"".join(b"x-%d: 1\r\n" % n for n in range(100)) + b"content-length: 0\r\n\r\n",
    "F10 65,537 bytes": HEAD + b"x-a: " + b"a" * 65537 + b"\r\ncontent-length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\nabc",
    "101 without upgrade": b"HTTP/1.1 101 Switching\r\n\r\nabc",
    "interim with a body": b"HTTP/1.1 199 Hm\r\ncontent-length: 3\r\n\r\nabc" + OK,
    "status 099": b"HTTP/1.1 099 Hm\r\n\r\n" + OK,
    "no HTTP": b"220 smtp.example.com ESMTP\r\n\r\n",
    "bytes": b"\x00\x16\x03\x01\x02\x00\r\n\r\n",
    "space before colon": HEAD + b"content-length : 3\r\n\r\nabc",
    "NUL in a value": HEAD + b"x-a: a\0b\r\ncontent-length: 0\r\n\r\n",
}
STRICTER = {  # what http1 refuses and h11, below httpx, reads in the one possible way
    "F2 equal lengths": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "F2 length 2, 2": HEAD + b"content-length: 2, 2\r\n\r\nok",
    "folded": HEAD + b"x-a: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
}
BAD_CHUNKS = {
    "0_3": b"0_3\r\nabc\r\n0\r\n\r\n",
    "0x3": b"0x3\r\nabc\r\n0\r\n\r\n",
    "+3": b"+3\r\nabc\r\n0\r\n\r\n",
    "junk after the chunk": b"3\r\nabcJUNK\r\n0\r\n\r\n",
    "no CRLF after the chunk": b"3\r\nabc0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "huge size": b"fffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
}


async def expect_malformed(upstream: Upstream, run: Engines, answer: bytes, body: bytes | None = None) -> None:
    engine = await run(in_turn(answering(answer), answering(OK)))
    with pytest.raises(UpstreamError) as caught:
        await fetch(upstream, engine)
    assert (caught.value.reason, caught.value.status) == ("malformed", 502)
    assert (await fetch(upstream, engine))[1] == b"ok"
    assert len(engine.peers) == 2
    await engine.peers[0].gone.wait()


@pytest.mark.parametrize("answer", BAD_HEADS.values(), ids=BAD_HEADS)
async def test_a_bad_head(upstream: Upstream, run: Engines, answer: bytes):
    await expect_malformed(upstream, run, answer)


@pytest.mark.parametrize("answer", STRICTER.values(), ids=STRICTER)
async def test_what_only_http1_refuses(http1: Upstream, run: Engines, answer: bytes):
    await expect_malformed(http1, run, answer)


@pytest.mark.parametrize("answer", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_bad_chunks(upstream: Upstream, run: Engines, answer: bytes):
    """F5."""
    await expect_malformed(upstream, run, CHUNKED + answer)


async def test_what_came_before_a_bad_chunk_is_delivered_first(http1: Upstream, run: Engines):
    engine = await run(answering(CHUNKED + b"3\r\nabc\r\n0_3\r\ndef\r\n0\r\n\r\n"))
    answer = await http1.send(ask(engine.address), within())
    assert await answer.read() == b"abc"
    with pytest.raises(UpstreamError, match="malformed"):
        await answer.read()


@pytest.mark.parametrize(
    "start",
    [HEAD, HEAD + b"x-a: ", b"", CHUNKED + b"1\r\na\r\n0\r\n", CHUNKED + b"1\r\na\r\n0\r\nx-a: "],
    ids=["fields", "one field", "status line", "trailers", "one trailer"],
)
async def test_a_section_of_headers_without_an_end(upstream: Upstream, run: Engines, start: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        line = b"y: 1\r\n" * 1000 if start.endswith(b"\r\n") else b"y" * 6000
        while peer.sent < 3_000_000:
            await peer.send(line)

    engine = await run(script, 65536)
    with pytest.raises(UpstreamError) as caught:
        await fetch(upstream, engine)
    assert caught.value.reason == "malformed"
    assert engine.peers[0].sent < 1_500_000


TRUNCATED = {
    "F13 length": (HEAD + b"content-length: 9\r\n\r\nabc", b"abc"),
    "F14 in a chunk": (CHUNKED + b"9\r\nabc", b"abc"),
    "F14 between chunks": (CHUNKED + b"3\r\nabc\r\n", b"abc"),
    "F14 before the last line": (CHUNKED + b"3\r\nabc\r\n0\r\n", b"abc"),
    "no body yet": (HEAD + b"content-length: 9\r\n\r\n", b""),
}


@pytest.mark.parametrize(("answer", "begin"), TRUNCATED.values(), ids=TRUNCATED)
async def test_a_truncated_answer_is_an_error_after_its_data(
    upstream: Upstream, run: Engines, answer: bytes, begin: bytes
):
    engine = await run(answering(answer, then_close=True))
    got = await upstream.send(ask(engine.address), within())
    data = bytearray()
    with pytest.raises(UpstreamError) as caught:
        await read_all(got, data)
    assert (bytes(data), caught.value.reason, got.ended) == (begin, "reset", False)


async def test_a_reset_does_not_end_an_answer(upstream: Upstream, run: Engines):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"\r\nabc")
        await peer.arrived.wait()
        peer.reset()

    engine = await run(script)
    answer = await upstream.send(ask(engine.address), within())
    assert await answer.read() == b"abc"
    (await engine.peer()).arrived.set()
    with pytest.raises(UpstreamError) as caught:
        await read_all(answer)
    assert caught.value.reason == "reset"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"x-a: 1\r\n"])
async def test_a_connection_that_closes_before_the_head_is_complete(upstream: Upstream, run: Engines, head: bytes):
    engine = await run(answering(head, then_close=True))
    with pytest.raises(UpstreamError) as caught:
        await fetch(upstream, engine)
    assert (caught.value.reason, len(engine.peers)) == ("reset", 1)


@pytest.mark.parametrize("extra", [b"more", OK, b"\x00"])
@pytest.mark.parametrize(
    "answer", [OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)]
)
async def test_bytes_after_the_end_are_nobodys(upstream: Upstream, run: Engines, answer: bytes, extra: bytes):
    """F12."""
    engine = await run(answering(answer + extra))
    got, body = await fetch(upstream, engine)
    assert (body, got.ended) == (b"ok", True)


@pytest.mark.parametrize("extra", [b"more", OK])
async def test_a_connection_with_bytes_after_the_end_is_dropped(http1: Upstream, run: Engines, extra: bytes):
    """F12: httpx would take them for the beginning of the next answer."""
    engine = await run(in_turn(answering(OK + extra), answering(HEAD + b"content-length: 3\r\n\r\nnew")))
    assert (await fetch(http1, engine))[1] == b"ok"
    assert (await fetch(http1, engine))[1] == b"new"
    await engine.peers[0].gone.wait()
