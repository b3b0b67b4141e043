"""What a client gets and when; what is not for the proxy."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import UpstreamTimeout
from aibrix_mw.pods.pod import Address, Target
from aibrix_mw.proxy import Proxy
from aibrix_mw.scope import OUTCOME, REQUEST, TARGET
from aibrix_mw.upstream.base import Timers
from tests.support import (
    CHAT,
    DONE,
    SSE_HEADERS,
    STREAM_BODY,
    Client,
    FakeAnswer,
    FakeUpstream,
    Running,
    ask,
    ask_for,
    info,
    registry_of,
    settle,
)

# --- what the client gets


async def test_the_answer():
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"the engine's"),
        (b"connection", b"keep-alive, x-hop"),
        (b"keep-alive", b"timeout=5"),
        (b"x-hop", b"1"),
        (b"target-pod", b"forged"),
        (b"content-length", b"2"),
        (b"x-vllm", b"1"),
    ]
    async with Running(lambda _: FakeAnswer(b"{}", headers=headers), pods=1) as running:
        reply = await running.ask(headers=[(b"x-request-id", b"mine")])
    assert reply.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"x-vllm", b"1"),
        (b"x-request-id", b"mine"),
        (b"x-aibrix-config-profile", b"default"),
        (b"routing-strategy", b"least-request"),
        (b"target-pod", b"pod-1"),
        (b"target-pod-ip", b"10.0.0.1:8000"),
    ]


async def test_an_ipv6_pod_stands_in_brackets():
    async with Running(pods=[info(1, address=Address("fd00::7", 8000))]) as running:
        assert (await running.ask()).header("target-pod-ip") == b"[fd00::7]:8000"
    assert running.upstream.requests[0].host == b"[fd00::7]:8000"


@pytest.mark.parametrize("steps", [(), (b"",)], ids=["at once", "later"])
@pytest.mark.parametrize("status", [200, 204, 304])
async def test_an_answer_without_a_body(steps, status):
    async with Running(lambda _: FakeAnswer(*steps, status=status)) as running:
        reply = await running.ask()
        assert (reply.status, reply.body, reply.complete) == (status, b"", True)
        assert await running.outcomes() == {("m", "default", str(status), "ok"): 1}


async def test_the_head_waits_for_the_first_body_byte():
    go = asyncio.Event()
    async with Running(lambda _: FakeAnswer(go, b"data: 1\n\n", headers=SSE_HEADERS)) as running:
        client = Client(running.gateway)
        task = client.start()
        await settle()
        assert client.reply.messages == []
        go.set()
        await task
        assert (client.reply.status, client.reply.body) == (200, b"data: 1\n\n")


async def test_chunks_pass_as_they_come():
    step = [asyncio.Event(), asyncio.Event()]
    answer = FakeAnswer(b"data: 1\n\n", step[0], b"da", b"ta: 2\n\n", step[1], DONE, b"", headers=SSE_HEADERS)
    async with Running(lambda _: answer) as running:
        client = Client(running.gateway, STREAM_BODY)
        task = client.start()
        await settle()
        assert client.reply.chunks == [b"data: 1\n\n"]
        step[0].set()
        await settle()
        assert client.reply.chunks == [b"data: 1\n\n", b"da", b"ta: 2\n\n"]
        step[1].set()
        reply = await task
    assert reply.chunks == [b"data: 1\n\n", b"da", b"ta: 2\n\n", DONE, b""]
    assert reply.complete


EVENTS = b'data: {"a": "\xc3\xa9"}\r\n\r\n: comment\n\ndata: {"b": 1}\n\n' + DONE


@given(st.lists(st.integers(1, len(EVENTS) - 1), max_size=12, unique=True), st.booleans())
async def test_lines_split_anywhere_pass_unchanged(cuts, late_end):
    edges = [0, *sorted(cuts), len(EVENTS)]
    pieces = [EVENTS[start:end] for start, end in pairwise(edges)]
    answer = FakeAnswer(*pieces, *([b""] if late_end else []), headers=SSE_HEADERS)
    proxy = Proxy(FakeUpstream(lambda _: answer))
    reply = await ask(proxy, STREAM_BODY, **filled())
    assert [chunk for chunk in reply.chunks if chunk] == pieces
    assert reply.complete


def filled(request=None):
    """A scope as the layers outside leave it."""
    (pod,) = registry_of(info(1)).serving("m")
    return {REQUEST.key: request or ask_for(), TARGET.key: Target(pod)}


# --- time


@pytest.mark.parametrize("timer", ["first_byte_timeout", "response_timeout", "connect_timeout"])
async def test_f25_a_timer_that_ends_before_the_first_byte(timer):
    async with Running(lambda _: FakeAnswer(UpstreamTimeout(timer))) as running:
        reply = await running.ask()
        assert (reply.status, reply.json()["error"]["code"]) == (504, "upstream_timeout")
        assert timer in reply.json()["error"]["message"]
        assert await running.outcomes() == {("m", "default", "504", "upstream_timeout"): 1}


async def test_timers_without_a_routing_middleware():
    upstream = FakeUpstream()
    now = asyncio.get_running_loop().time()
    await ask(Proxy(upstream), **filled())
    (timers,) = upstream.timers
    assert timers.until == pytest.approx(now + 600, abs=1)
    assert timers == Timers(timers.until, "response_timeout", whole=True, connect=1.0, idle=300.0)


async def test_settings_and_profile_say_how_long():
    config = {"profiles": {"default": {"timeouts": {"idle_timeout": 5, "connect_timeout": 0.5, "prefill_timeout": 9}}}}
    upstream = {"response_timeout": 50, "first_byte_timeout": 20, "idle_timeout": 40}
    async with Running(config=config, upstream=upstream) as running:
        now = asyncio.get_running_loop().time()
        await running.ask()
        await running.ask(STREAM_BODY)
        whole, stream = running.upstream.timers
    assert (whole.until - now, stream.until - now) == pytest.approx((50, 20), abs=1)
    assert (whole.connect, whole.idle, whole.whole, stream.whole) == (0.5, 5, True, False)


# --- what is not for it


@pytest.mark.parametrize(("path", "method", "status"), [("/x", "POST", 404), ("/x", "GET", 404), (CHAT, "GET", 405)])
async def test_f72_other_paths_and_methods(path, method, status):
    upstream = FakeUpstream()
    client = Client(Proxy(upstream), path=path, method=method)
    reply = await client.ask()
    assert (reply.status, upstream.requests) == (status, [])
    assert reply.header("allow") == (b"POST" if status == 405 else None)
    assert OUTCOME.require(client.scope).name == "not_found"


async def test_websockets_are_closed():
    sent = []

    async def send(message):
        sent.append(message)

    await Proxy(FakeUpstream())({"type": "websocket"}, None, send)
    await Proxy(FakeUpstream())({"type": "lifespan"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_without_the_layers_outside():
    with pytest.raises(LookupError, match="ModelMiddleware"):
        await ask(Proxy(FakeUpstream()))
