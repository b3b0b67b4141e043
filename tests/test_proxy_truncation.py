"""What happens when an engine fails after the first byte: nothing can be repeated (F13, F14, F25)."""

import json

import pytest

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from tests.support import CHAT, DONE, JSON_HEADERS, SSE_HEADERS, STREAM_BODY, FakeAnswer, Running

RESET = UpstreamError("the engine closed the connection", "reset")
ONE = b'data: {"one": 1}\n\n'


async def truncated(*steps, headers=SSE_HEADERS, path=CHAT, status=200):
    """The answer to a request whose engine fails on the way; it is counted and nothing stays behind."""
    answer = FakeAnswer(*steps, headers=headers, status=status)
    async with Running(lambda _: answer, pods=3) as running:
        reply = await running.ask(STREAM_BODY, path)
        assert len(running.upstream.hosts) == 1
        assert running.in_flight == [0, 0, 0]
        assert await running.outcomes() == {("m", "default", str(status), "stream_truncated"): 1}
        assert await running.counted("aibrix_gateway_streams_truncated_total", "model") == {("m",): 1}
    assert answer.closed
    assert not reply.complete
    assert DONE not in reply.body
    return reply


async def test_one_last_event():
    reply = await truncated(ONE, RESET)
    event = reply.body.removeprefix(ONE)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert json.loads(event.removeprefix(b"data: ")) == {
        "error": {"message": "the engine closed the connection", "type": "api_error", "code": "upstream_error"}
    }


async def test_anthropics_shape():
    reply = await truncated(ONE, RESET, path="/v1/messages")
    name, data = reply.body.removeprefix(ONE).split(b"\n", 1)
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: ")) == {
        "type": "error",
        "error": {"type": "api_error", "message": "the engine closed the connection"},
    }


@pytest.mark.parametrize("half", [b'data: {"on', b"data: x\n", b"\n", b"data: x\r\n", b": comment"])
async def test_the_event_has_lines_of_its_own(half):
    reply = await truncated(half, RESET)
    lines = reply.body.removeprefix(half).split(b"\n")
    assert lines[0] == lines[1] == b""
    assert lines[2].startswith(b'data: {"error"')


@pytest.mark.parametrize("whole", [b"data: x\n\n", b"data: x\r\n\r\n"])
async def test_no_empty_event_before_it(whole):
    reply = await truncated(whole, RESET)
    assert reply.body.removeprefix(whole).startswith(b"data: ")


async def test_f25_an_idle_gap():
    reply = await truncated(ONE, UpstreamTimeout("idle_timeout"))
    error = json.loads(reply.body.removeprefix(ONE + b"data: "))["error"]
    assert (error["code"], "idle_timeout" in error["message"]) == ("upstream_error", True)


@pytest.mark.parametrize(
    "headers",
    [
        JSON_HEADERS,
        [],
        [*SSE_HEADERS, (b"content-length", b"500")],
        [*SSE_HEADERS, (b"content-encoding", b"gzip")],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"audio/mpeg")],
    ],
)
async def test_nothing_is_appended_to_any_other_body(headers):
    reply = await truncated(b'{"a": ', RESET, headers=headers)
    assert reply.body == b'{"a": '


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_whatever_the_status(status):
    await truncated(b"x", RESET, status=status)


async def test_f20_a_503_that_breaks_off():
    answer = FakeAnswer(b'{"busy', RESET, status=503)
    async with Running(lambda _: answer, pods=1, routing={"attempts": 1}) as running:
        reply = await running.ask()
        assert (reply.status, reply.body, reply.complete) == (503, b'{"busy', False)
        assert await running.outcomes() == {("m", "default", "503", "stream_truncated"): 1}
    assert answer.closed
