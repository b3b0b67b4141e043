"""The tree of spans of each way that a request can end, as a collector gets it."""

import asyncio

import pytest

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from tests.middleware.tracing_support import ANSWERED, CALL, FAILED, ROUTE, SERVER
from tests.support import BODY, DONE, SSE_HEADERS, STREAM_BODY, Client, FakeAnswer, Running, in_turn, info

USAGE = b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}'
ANSWER = b'{"model":"m-v2","choices":[{"message":{"content":"hi"},"finish_reason":"length"}],' + USAGE + b"}"
EVENTS = [
    b'data: {"model":"m-v2","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}\n\n',
    b'data: {"model":"m-v2","choices":[{"delta":{},"finish_reason":"stop"}]}\n\nda',
    b'ta: {"model":"m-v2","choices":[],' + USAGE + b"}\n\n" + DONE,
]


def reset():
    return UpstreamError("the engine closed the connection", "reset")


async def run(traced, script=None, body=BODY, headers=(), **options):
    async with Running(script, outer=[traced.layer()], **options) as running:
        return await running.ask(body, headers=headers)


async def test_ok(traced):
    await run(traced, in_turn(FakeAnswer(ANSWER)), headers=[(b"x-request-id", b"one"), (b"user-agent", b"curl/8")])
    assert traced.tree() == ANSWERED
    assert traced.server.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "203.0.113.9",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "user_agent.original": "curl/8",
        "http.response.status_code": 200,
        "aibrix_mw.request_id": "one",
        "aibrix_mw.model": "m",
        "aibrix_mw.profile": "default",
        "aibrix_mw.strategy": "least-request",
        "aibrix_mw.pod": traced.calls[0].attributes["aibrix_mw.pod"],
        "aibrix_mw.attempts": 1,
        "aibrix_mw.outcome": "ok",
    }
    (call,) = traced.calls
    number = call.attributes["aibrix_mw.pod"].removeprefix("pod-")
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-v2",
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": f"10.0.0.{number}",
        "server.port": 8000,
        "aibrix_mw.pod": f"pod-{number}",
    }
    assert call.events == ["upstream.headers"]
    assert call.resource["service.name"] == "aibrix-mw"


async def test_a_stream(traced):
    script = in_turn(FakeAnswer(*EVENTS, headers=SSE_HEADERS))
    reply = await run(traced, script, STREAM_BODY)
    assert reply.body == b"".join(EVENTS)
    assert traced.tree() == ANSWERED
    (call,) = traced.calls
    assert call.events == ["upstream.headers", "first_token", "stream_end"]
    assert call.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert call.attributes["gen_ai.response.model"] == "m-v2"
    assert call.attributes["gen_ai.usage.output_tokens"] == 2


async def test_failover(traced):
    await run(traced, in_turn(reset(), FakeAnswer(ANSWER)), config={"profiles": {"default": {}}})
    assert traced.tree() == [SERVER, ROUTE, FAILED, ROUTE, CALL]
    first, second = traced.calls
    assert first.attributes["error.type"] == "reset"
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert traced.server.attributes["aibrix_mw.attempts"] == 2
    _, again = traced.named("aibrix_mw.route")
    assert again.attributes["aibrix_mw.excluded"] == ["tried=1"]


async def test_no_engine_can_be_reached(traced):
    await run(traced, lambda _: reset(), pods=3)
    assert traced.tree() == [f"{SERVER} !", ROUTE, FAILED, ROUTE, FAILED]
    assert traced.server.attributes["error.type"] == "upstream_error"
    assert traced.server.attributes["http.response.status_code"] == 502


async def test_an_engine_too_slow(traced):
    await run(traced, lambda _: UpstreamTimeout("response_timeout"))
    assert traced.tree() == [f"{SERVER} !", ROUTE, FAILED]
    assert traced.server.attributes["error.type"] == "upstream_timeout"
    assert traced.calls[0].attributes["error.type"] == "timeout"


async def test_an_engine_that_is_busy_everywhere(traced):
    await run(traced, lambda _: FakeAnswer(b"busy", status=503))
    assert traced.tree() == [f"{SERVER} !", ROUTE, FAILED, ROUTE, FAILED]
    assert traced.server.attributes["error.type"] == "503"
    assert [call.attributes["error.type"] for call in traced.calls] == ["503", "503"]


async def test_an_engine_error(traced):
    await run(traced, in_turn(FakeAnswer(b"{}", status=500)))
    assert traced.tree() == [f"{SERVER} !", ROUTE, FAILED]
    assert traced.server.attributes["aibrix_mw.outcome"] == "engine_error"
    assert traced.server.attributes["error.type"] == traced.calls[0].attributes["error.type"] == "500"


async def test_an_engine_that_refuses(traced):
    await run(traced, in_turn(FakeAnswer(b"{}", status=400)))
    assert traced.tree() == [SERVER, ROUTE, FAILED]  # the client's fault, and so the caller's: ours
    assert traced.server.attributes["http.response.status_code"] == 400
    assert "error.type" not in traced.server.attributes


async def test_a_stream_cut_short(traced):
    await run(traced, in_turn(FakeAnswer(EVENTS[0], reset(), headers=SSE_HEADERS)), STREAM_BODY)
    assert traced.tree() == [f"{SERVER} !", ROUTE, FAILED]
    assert traced.server.attributes["error.type"] == "stream_truncated"
    assert traced.calls[0].attributes["error.type"] == "reset"
    assert traced.calls[0].events == ["upstream.headers", "first_token"]


@pytest.mark.parametrize("early", [True, False])
async def test_a_client_that_leaves(traced, early):
    never = asyncio.Event()
    answer = FakeAnswer(*([] if early else [EVENTS[0]]), never, headers=SSE_HEADERS)
    async with Running(in_turn(answer), outer=[traced.layer()]) as running:
        client = Client(running.gateway, STREAM_BODY, extension=True)
        asking = asyncio.create_task(client.ask())
        await answer.reading.wait()
        client.leave()
        await asking
    assert traced.tree() == ANSWERED
    assert traced.server.attributes["aibrix_mw.outcome"] == "client_cancelled"
    (call,) = traced.calls
    assert call.events == ["upstream.headers", *([] if early else ["first_token"]), "cancelled"]


REFUSED = {
    "bad_request": (b"not json", {}, 400, {}),
    "unknown_model": (b'{"model": "nobody"}', {}, 404, {}),
    "no_ready_pods": (BODY, {"pods": [info(1, excluded="not_ready")]}, 503, {"error.type": "no_ready_pods"}),
}


@pytest.mark.parametrize("outcome", REFUSED)
async def test_refusals(traced, outcome):
    body, options, status, error = REFUSED[outcome]
    await run(traced, None, body, **options)
    assert traced.tree() == [f"{SERVER} !" if error else SERVER]
    attributes = traced.server.attributes
    assert attributes["aibrix_mw.outcome"] == outcome
    assert attributes["http.response.status_code"] == status
    assert attributes.items() >= error.items()
