"""The whole gateway behind our server: a raw client on one side, a raw engine on the other."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from aibrix_mw.app import create_app
from tests.server.test_listener import connected, serving
from tests.server.wire import settle
from tests.upstream.raw_engine import RawEngine, answering

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
LARGE = "x" * 200_000


def chat(headers=b"", content="hello"):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n%bcontent-length: %d\r\n\r\n" % (headers, len(body))
    return head, body


@asynccontextmanager
async def gateway(script):
    """A served gateway before one engine that runs this script."""
    async with RawEngine(script) as engine:
        app = create_app({"models": {"m": {"endpoints": [f"http://{engine.address.netloc}"]}}})
        async with app.running(), serving(app.stack) as listener:
            yield listener, engine


async def read_answer(reader):
    """One answer with a content-length, or one without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
    bodiless = head.startswith((b"HTTP/1.1 204 ", b"HTTP/1.1 304 ")) or not length
    return head, b"" if bodiless else await reader.readexactly(int(length))


@pytest.mark.parametrize(("status", "kept"), [(b"204 No Content", False), (b"304 Not Modified", True)])
async def test_an_engines_answer_without_a_body_keeps_both_connections(status, kept):
    bodiless = b"HTTP/1.1 %b\r\ncontent-length: 5\r\netag: x\r\n\r\n" % status
    async with gateway(answering(bodiless, OK)) as (listener, engine), connected(listener) as (reader, writer):
        writer.write(b"".join(chat()) * 2)
        head, _ = await read_answer(reader)
        assert head.startswith(b"HTTP/1.1 %b\r\n" % status)
        assert b"\r\netag: x\r\n" in head
        assert (b"\r\ncontent-length: 5\r\n" in head) == kept
        assert b"transfer-encoding" not in head
        assert (await read_answer(reader))[1] == b"{}"
        assert len(engine.peers) == 1


async def test_a_body_behind_a_request_to_upgrade_reaches_the_engine():
    """Java's own client asks for h2c with each first request."""
    head, body = chat(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n")
    async with gateway(answering(OK)) as (listener, engine), connected(listener, head) as (reader, writer):
        await settle()
        writer.write(body)
        assert (await read_answer(reader))[1] == b"{}"
        ((seen,),) = engine.requests
        assert seen.endswith(b"\r\n\r\n" + body)
        assert b"upgrade" not in seen.lower()
        assert b"http2-settings" not in seen.lower()


async def test_who_waits_for_an_invitation_gets_it_when_the_body_decides():
    head, body = chat(b"expect: 100-continue\r\n")
    async with gateway(answering(OK)) as (listener, engine), connected(listener, head) as (reader, writer):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await read_answer(reader))[1] == b"{}"
        assert b"expect" not in engine.requests[0][0]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (chat(b"expect: 100-continue\r\n")[0].replace(b"/chat/", b"/chut/"), b"404"),
        (chat(b"expect: 100-continue\r\n")[0].replace(b"POST", b"PUT"), b"405"),
        (chat(b"expect: 100-continue\r\n")[0].replace(b"length: ", b"length: 999999999"), b"413"),
    ],
)
async def test_f17_who_is_refused_by_the_head_is_not_invited(head, status):
    async with gateway(answering()) as (listener, engine), connected(listener, head) as (reader, _writer):
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 %b " % status)
        assert b"\r\nconnection: close\r\n" in answer
        assert engine.peers == []


async def test_f37_a_client_with_a_large_body_leaves():
    arrived = asyncio.Event()

    async def script(peer):
        await peer.request()
        arrived.set()
        await peer.until_gone()

    request = b"".join(chat(content=LARGE))
    async with gateway(script) as (listener, engine), connected(listener, request) as (_reader, writer):
        await arrived.wait()
        writer.close()
        await engine.peers[0].gone.wait()


async def test_f18_what_is_hidden_behind_a_body_is_not_answered_as_one_of_ours():
    head, body = chat()
    hidden = b"".join(chat())
    twice_framed = head.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    async with gateway(answering(OK, OK)) as (listener, engine):
        async with connected(listener, twice_framed + body + hidden) as (reader, _):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert engine.peers == []
