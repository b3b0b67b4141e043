"""Answers of engines that are no answers, or break off, as a raw client sees them (F2, F3, F5, F12 to F16)."""

import asyncio

import pytest

from tests.faults.raw import OK, PATIENCE, chat, gateway, status_of
from tests.upstream.raw_engine import answering, in_turn
from tests.upstream.test_framing import BAD_CHUNKS, BAD_HEADS

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
CLOSE = "Connection: close"
ONE_TRY = {"routing": {"attempts": 1}}
CODINGS = {name: answer for name, answer in BAD_HEADS.items() if name.startswith("F3")}
LENGTHS = {name: answer for name, answer in BAD_HEADS.items() if name.startswith("F2")}


async def expect_502(answer):
    """502, counted as such, on a connection that is not used again."""
    async with gateway(in_turn(answering(answer), answering(OK)), **ONE_TRY) as served:
        got = await served.ask(chat())
        assert (status_of(got), got.count(b"HTTP/1.1 ")) == (502, 1)
        assert await served.outcomes() == {("502", "upstream_error"): 1}
        assert status_of(await served.ask(chat())) == 200
        assert len(served.engine.peers) == 2
        await served.engine.peers[0].gone.wait()


@pytest.mark.parametrize("answer", LENGTHS.values(), ids=LENGTHS)
async def test_f02_odd_lengths_of_an_answer(answer):
    await expect_502(answer)


@pytest.mark.parametrize("answer", CODINGS.values(), ids=CODINGS)
async def test_f03_odd_codings_of_an_answer(answer):
    await expect_502(answer)


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_f05_odd_chunks_of_an_answer(chunks):
    """What came before the fault may have gone to the client; then the answer has no end."""
    async with gateway(answering(CHUNKED + chunks), **ONE_TRY) as served:
        got = await read_to_the_end(served)
        if status_of(got) == 200:
            assert not got.endswith(b"\r\n0\r\n\r\n")
        else:
            assert status_of(got) == 502


@pytest.mark.parametrize("extra", [b"more", OK])
async def test_f12_bytes_after_the_end_go_to_nobody(extra):
    fresh = OK.replace(b"{}", b"[]")
    async with gateway(in_turn(answering(OK + extra), answering(fresh))) as served:
        assert (await served.ask(chat())).endswith(b"\r\n\r\n{}")
        assert (await served.ask(chat())).endswith(b"\r\n\r\n[]")
        assert len(served.engine.peers) == 2
        await served.engine.peers[0].gone.wait()


async def read_to_the_end(served, *fields):
    """All that the client gets until the gateway closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(chat(CLOSE, *fields))
        got = await reader.read()
        writer.close()
        return got


async def test_f13_what_is_missing_stays_missing():
    answer = OK.replace(b"length: 2", b"length: 9")
    async with gateway(answering(answer, then_close=True), **ONE_TRY) as served:
        got = await read_to_the_end(served)
        head, _, body = got.partition(b"\r\n\r\n")
        assert (b"\r\ncontent-length: 9\r\n" in head, body) == (True, b"{}")
        assert await served.outcomes() == {("200", "stream_truncated"): 1}


@pytest.mark.parametrize("end", [b"", b"9\r\nabc", b"0\r\n"])
async def test_f14_no_end_is_made_up(end):
    event = b"data: {}\n\n"
    answer = CHUNKED + b"a\r\n" + event + b"\r\n" + end
    async with gateway(answering(answer, then_close=True), **ONE_TRY) as served:
        got = await read_to_the_end(served)
        assert event in got
        assert got.count(b'"upstream_error"') == 1
        assert b"[DONE]" not in got
        assert not got.endswith(b"0\r\n\r\n")
        assert await served.outcomes() == {("200", "stream_truncated"): 1}


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_f15_a_body_that_must_not_be_is_dropped(status):
    bodiless = b"HTTP/1.1 %b\r\ncontent-length: 5\r\n\r\nhello" % status
    async with gateway(in_turn(answering(bodiless), answering(OK))) as served, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(chat() * 2)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %b\r\n" % status)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(2) == b"{}"
        writer.close()


async def test_f16_a_compressed_answer_passes_as_it_is():
    body = b"\x1f\x8b\x08\0not really, and nobody looks"
    fields = b"content-type: application/json\r\ncontent-encoding: gzip\r\nvary: accept-encoding\r\n"
    answer = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (fields, len(body), body)
    async with gateway(answering(answer)) as served:
        got = await served.ask(chat("Accept-Encoding: gzip"))
        head, _, rest = got.partition(b"\r\n\r\n")
        assert rest == body
        assert fields in head + b"\r\n"
        assert b"\r\naccept-encoding: gzip\r\n" in served.seen[0].lower()
