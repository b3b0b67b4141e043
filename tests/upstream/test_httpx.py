"""What is particular to httpx: any client, any transport."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.httpx import HttpxUpstream
from tests.upstream.asking import HEAD, OK, ask, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, answering, in_turn

ENGINE = Address("engine", 443, tls=True)


class Scripted(httpx.AsyncByteStream):
    """A body of the transport's own making."""

    def __init__(self, *steps: bytes | Exception) -> None:
        self.steps = steps
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            yield step

    async def aclose(self) -> None:
        self.closed.set()


def transport(status: int = 200, *steps: bytes | Exception, **headers: str) -> tuple[HttpxUpstream, Scripted]:
    """An upstream over a transport that answers with a body of its own making."""
    body = Scripted(*steps)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpxUpstream(httpx.MockTransport(lambda _: httpx.Response(status, headers=fields, stream=body))), body


def failing(error: Exception) -> HttpxUpstream:
    async def handle(_: httpx.Request) -> httpx.Response:
        raise error

    return HttpxUpstream(httpx.MockTransport(handle))


async def test_of_a_client_only_its_connections_are_used(run: Engines):
    engine = await run(
        answering(b"HTTP/1.1 302 Found\r\nset-cookie: a=1\r\nlocation: /b\r\ncontent-length: 2\r\n\r\nno", OK)
    )
    client = httpx.AsyncClient(
        follow_redirects=True, headers={"x-own": "1"}, cookies={"c": "1"}, timeout=0.0001, verify=False
    )
    upstream = HttpxUpstream(client)
    answer, body = await fetch(upstream, engine)
    assert (answer.status, body) == (302, b"no")
    await fetch(upstream, engine)
    plain = b"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: 2\r\n\r\n{}"
    assert engine.requests == [[plain, plain]]
    await upstream.aclose()
    assert client.is_closed


async def test_without_one_it_has_its_own(run: Engines):
    engine = await run(answering(OK))
    upstream = HttpxUpstream()
    assert (await fetch(upstream, engine))[1] == b"ok"
    await upstream.aclose()
    await engine.peers[0].gone.wait()


async def test_a_transport_gets_the_url_and_the_body():
    seen: list[httpx.Request] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        await request.aread()
        seen.append(request)
        return httpx.Response(200, content=b"ok")

    upstream = HttpxUpstream(httpx.MockTransport(handle))
    answer = await upstream.send(ask(ENGINE, b"body", target=b"/v1/x?y=1"), within())
    assert await read_all(answer) == b"ok"
    assert (str(seen[0].url), seen[0].content) == ("https://engine/v1/x?y=1", b"body")


ERRORS = [
    (httpx.ConnectError("no"), "connect"),
    (httpx.ProxyError("no"), "connect"),
    (httpx.ConnectTimeout("no"), "connect"),
    (httpx.ReadError("no"), "reset"),
    (httpx.WriteError("no"), "reset"),
    (httpx.RemoteProtocolError("Server disconnected without sending a response."), "reset"),
    (httpx.RemoteProtocolError("illegal status line"), "malformed"),
    (httpx.ReadTimeout("no"), "timeout"),
    (httpx.PoolTimeout("no"), "timeout"),
    (httpx.StreamClosed(), "reset"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS)
async def test_its_errors_become_ours(error: Exception, reason: str):
    with pytest.raises(UpstreamError) as caught:
        await failing(error).send(ask(ENGINE), within())
    assert caught.value.reason == reason
    assert isinstance(caught.value, ConnectTimeout) == isinstance(error, httpx.ConnectTimeout)
    upstream, _ = transport(200, b"begin", b"", error)
    answer = await upstream.send(ask(ENGINE), within())
    assert await answer.read() == b"begin"
    with pytest.raises(UpstreamError) as caught:
        await answer.read()
    assert caught.value.reason == reason


@pytest.mark.parametrize("error", [httpx.LocalProtocolError("no"), ValueError("no")])
async def test_what_is_wrong_with_the_request_is_not_the_engines_fault(error: Exception):
    with pytest.raises(ValueError, match="no"):
        await failing(error).send(ask(ENGINE), within())


async def test_a_time_limit_of_the_transports_own_is_not_ours():
    with pytest.raises(TimeoutError, match="mine"):
        await failing(TimeoutError("mine")).send(ask(ENGINE), within())


@pytest.mark.parametrize("steps", [(b"ok", b"more"), (b"okmore",), (b"o", b"kmore")])
async def test_bytes_after_the_length_are_cut(steps: tuple[bytes, ...]):
    """F12, over a transport that does not look."""
    upstream, body = transport(200, *steps, content_length="2")
    answer = await upstream.send(ask(ENGINE), within())
    assert (await read_all(answer), answer.ended) == (b"ok", True)
    await body.closed.wait()


async def test_missing_bytes_are_noticed():
    """F13, over a transport that does not look."""
    upstream, _ = transport(200, b"ok", content_length="3")
    answer = await upstream.send(ask(ENGINE), within())
    assert await answer.read() == b"ok"
    with pytest.raises(UpstreamError) as caught:
        await answer.read()
    assert (caught.value.reason, answer.ended) == ("reset", False)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_that_must_not_be_is_dropped(status: int):
    """F15, over a transport that does not look."""
    upstream, body = transport(status, b"body")
    answer = await upstream.send(ask(ENGINE), within())
    assert (await read_all(answer), answer.ended) == (b"", True)
    await body.closed.wait()


async def test_an_error_after_the_last_byte_is_nobodys():
    upstream, _ = transport(200, b"ok", httpx.ReadError("late"), content_length="2")
    answer = await upstream.send(ask(ENGINE), within())
    assert (await read_all(answer), answer.ended) == (b"ok", True)


@pytest.mark.parametrize("length", ["", "+3", "3, 3", "-1"])
async def test_a_length_that_is_none(length: str):
    """F2, over a transport that does not look."""
    upstream, body = transport(200, b"abc", content_length=length)
    with pytest.raises(UpstreamError, match="malformed"):
        await upstream.send(ask(ENGINE), within())
    await body.closed.wait()


async def test_a_connection_closed_while_idle_is_replaced_unseen(run: Engines):
    """The engine closes after it has seen the next request: httpcore cannot know before."""

    async def dies(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.head()
        peer.close()

    engine = await run(in_turn(dies, answering(OK)))
    upstream = HttpxUpstream()
    for _ in range(2):
        assert (await fetch(upstream, engine))[1] == b"ok"
    assert len(engine.peers) == 2
    await upstream.aclose()


async def test_without_reuse_it_is_not_sent_again(run: Engines):
    engine = await run(answering(OK, b"", then_close=True))
    upstream = HttpxUpstream()
    await fetch(upstream, engine)
    with pytest.raises(UpstreamError) as caught:
        await fetch(upstream, engine, reuse=False)
    assert (caught.value.reason, len(engine.peers)) == ("reset", 1)
    await upstream.aclose()


async def test_a_transport_that_never_answers():
    async def handle(_: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    with pytest.raises(UpstreamTimeout, match="response_timeout"):
        await HttpxUpstream(httpx.MockTransport(handle)).send(ask(ENGINE), within(0.02, "response_timeout"))


async def test_closing_waits_for_what_is_being_closed(run: Engines):
    engine = await run(answering(HEAD + b"\r\nabc"))
    upstream = HttpxUpstream()
    answer = await upstream.send(ask(engine.address), within())
    answer.close()
    await upstream.aclose()
    assert not upstream._closing
    await engine.peers[0].gone.wait()
