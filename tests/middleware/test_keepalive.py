"""KeepaliveMiddleware: comments before the first byte, in virtual time."""

import asyncio
import json
from functools import wraps

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.middleware.keepalive import COMMENT, KeepaliveMiddleware
from tests.support import (
    BODY,
    DONE,
    JSON_HEADERS,
    SSE_HEADERS,
    STREAM_BODY,
    Client,
    FakeAnswer,
    Running,
    info,
)
from tests.virtual_time import in_virtual_time

MESSAGES = "/v1/messages"


def virtual(test):
    """The test runs on a loop whose time jumps."""

    @wraps(test)
    def run(*args, **options):
        in_virtual_time(test(*args, **options))

    return run


def after(seconds, *steps, headers=SSE_HEADERS, status=200):
    """An engine's answer that comes so late."""
    there = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, there.set)
    return FakeAnswer(there, *steps, headers=headers, status=status)


def keeping(script=None, **settings):
    limits = {"max_loop_lag": 1000, **settings.pop("limits", {})}
    return Running(script, stream={"keepalive": 15}, limits=limits, **settings)


def event_of(reply):
    """The error that a stream has ended with, after its comments."""
    comments, line = reply.body.rsplit(COMMENT, 1)
    assert (comments + COMMENT).replace(COMMENT, b"") == b""
    assert line.endswith(b"\n\n")
    assert reply.complete
    return line.removesuffix(b"\n\n")


@virtual
async def test_a_stream_that_begins_late():
    async with keeping(lambda _: after(40, b"data: 1\n\n", DONE)) as running:
        reply = await running.ask(STREAM_BODY)
        assert reply.chunks == [COMMENT, COMMENT, b"data: 1\n\n", DONE]
        assert (reply.status, reply.complete) == (200, True)
        assert {name for name, _ in reply.headers} == {
            b"content-type",
            b"cache-control",
            b"x-request-id",
            b"x-aibrix-config-profile",
        }
        assert reply.header("content-type").startswith(b"text/event-stream")
        assert list((await running.outcomes()).values()) == [1]


@virtual
async def test_one_that_begins_in_time_is_as_it_would_be():
    async with keeping(lambda _: after(14, b"data: 1\n\n", DONE)) as running:
        reply = await running.ask(STREAM_BODY)
    async with Running(lambda _: FakeAnswer(b"data: 1\n\n", DONE, headers=SSE_HEADERS)) as running:
        same = await running.ask(STREAM_BODY)
    assert reply.chunks == same.chunks == [b"data: 1\n\n", DONE]
    assert sorted(name for name, _ in reply.headers) == sorted(name for name, _ in same.headers)
    assert reply.header("target-pod") in {b"pod-1", b"pod-2"}


@virtual
async def test_gaps_after_the_first_byte_are_left_alone():
    gap = asyncio.Event()
    async with keeping(lambda _: after(1, b"data: 1\n\n", gap, DONE)) as running:
        asyncio.get_running_loop().call_later(100, gap.set)
        assert (await running.ask(STREAM_BODY)).chunks == [b"data: 1\n\n", DONE]


@virtual
async def test_who_wants_no_stream_gets_none():
    async with keeping(lambda _: after(40, b"{}", headers=JSON_HEADERS)) as running:
        reply = await running.ask(BODY)
    assert (reply.header("content-type"), reply.body) == (b"application/json", b"{}")


@virtual
async def test_another_pod_is_still_tried():
    failing = asyncio.Event()

    def script(_request):
        if not failing.is_set():
            asyncio.get_running_loop().call_later(20, failing.set)
            return failing
        return steps.pop(0)

    steps = [UpstreamError("gone", "reset"), FakeAnswer(b"data: 1\n\n", DONE, headers=SSE_HEADERS)]
    async with keeping(script) as running:
        reply = await running.ask(STREAM_BODY)
    assert reply.chunks == [COMMENT, b"data: 1\n\n", DONE]
    assert len(set(running.upstream.hosts)) == 2


@virtual
@pytest.mark.parametrize("path", ["/v1/chat/completions", MESSAGES])
async def test_a_refusal_that_comes_late_is_an_event(path):
    async with keeping(
        pods=[info(1, excluded="not_ready")], limits={"waiting_room": {"size": 1, "deadline": 20}}
    ) as running:
        reply = await running.ask(STREAM_BODY, path)
        assert reply.status == 200
        event = event_of(reply)
        message = "no ready pods for model m"
        if path == MESSAGES:
            error = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
            assert event.startswith(b"event: error\ndata: ")
        else:
            error = {"error": {"message": message, "type": "overloaded_error", "code": "service_unavailable"}}
            assert event.startswith(b"data: ")
        assert json.loads(event.partition(b"data: ")[2]) == error
        assert {key[3] for key in await running.outcomes()} == {"no_ready_pods"}


@virtual
async def test_a_hit_is_given_back_all_the_same():
    """Every connection is refused, after a while: no engine has seen anything."""

    def script(_request):
        if not slow.is_set():
            asyncio.get_running_loop().call_later(20, slow.set)
            return slow
        return UpstreamError("refused", "connect")

    slow = asyncio.Event()
    config = {"profiles": {"default": {"requestsPerSecond": 100}}}
    async with keeping(script, config=config) as running:
        reply = await running.ask(STREAM_BODY)
        assert json.loads(event_of(reply).removeprefix(b"data: "))["error"]["code"] == "upstream_error"
        assert await running.counted("aibrix_gateway_rps_refunds_total", "model") == {("m",): 1}


@virtual
@pytest.mark.parametrize(
    ("status", "headers", "steps", "error"),
    [
        (
            400,
            JSON_HEADERS,
            [b'{"error": {"message":\n "too long",', b' "code": 400}}'],
            {"message": "too long", "code": 400},
        ),
        (500, [(b"content-type", b"text/plain")], [b"oops"], "the engine answered 500, and no stream"),
        (404, JSON_HEADERS, [b'{"detail": "none"}'], "the engine answered 404, and no stream"),
        (200, JSON_HEADERS, [b'{"choices": []}'], "the engine answered 200, and no stream"),
        (200, [*SSE_HEADERS, (b"content-encoding", b"gzip")], [b"\x1f\x8b"], "the engine answered 200, and no stream"),
    ],
)
async def test_an_answer_that_is_no_stream_is_an_event(status, headers, steps, error):
    async with keeping(lambda _: after(20, *steps, status=status, headers=headers)) as running:
        event = event_of(await running.ask(STREAM_BODY))
    if isinstance(error, str):
        error = {"message": error, "type": "api_error", "code": "upstream_error"}
    assert json.loads(event.removeprefix(b"data: ")) == {"error": error}
    assert b"\n" not in event


@virtual
async def test_what_breaks_later_ends_as_ever():
    async with keeping(lambda _: after(20, b"data: 1\n\n", UpstreamError("gone", "reset"))) as running:
        reply = await running.ask(STREAM_BODY)
    assert not reply.complete
    assert reply.chunks[:2] == [COMMENT, b"data: 1\n\n"]
    assert b'"upstream_error"' in reply.chunks[2]


@virtual
@pytest.mark.parametrize("extension", [True, False])
async def test_a_client_that_leaves(extension):
    async with keeping(lambda _: after(1000, b"never")) as running:
        client = Client(running.gateway, STREAM_BODY, extension=extension)
        task = client.start()
        await asyncio.sleep(20)
        client.leave()
        reply = await task
        assert reply.chunks == [COMMENT]
        await asyncio.sleep(100)
        assert reply.chunks == [COMMENT]
        assert running.in_flight == [0, 0]


@virtual
async def test_a_server_that_says_that_the_client_has_gone():
    async with keeping(lambda _: after(100, DONE)) as running:
        client = Client(running.gateway, STREAM_BODY, extension=True)
        client.broken = True
        task = client.start()
        await asyncio.sleep(50)
        client.leave()
        assert (await task).messages == []


@virtual
async def test_a_slow_client_gets_one_comment_at_a_time():
    """And the answer after it, in order."""
    sent, reading = [], asyncio.Event()

    async def slow(message):
        sent.append(message)
        await reading.wait()

    async with keeping(lambda _: after(100, DONE)) as running:
        client = Client(running.gateway, STREAM_BODY)
        client._send = slow
        task = client.start()
        await asyncio.sleep(200)
        assert [message["type"] for message in sent] == ["http.response.start"]
        reading.set()
        await task
    assert [message.get("body") for message in sent] == [None, COMMENT, DONE]


async def test_it_is_no_layer_when_it_is_off():
    async with Running() as running:
        assert KeepaliveMiddleware not in running.gateway.layers
