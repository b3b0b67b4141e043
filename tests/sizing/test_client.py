import asyncio

import pytest

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.sizing.client import Client, Flight, Patience
from aibrix_mw.sizing.target import parse_target
from tests.sizing.test_stream import CHAT, event
from tests.support import Clock, FakeAnswer, FakeUpstream

PATIENCE = Patience(answer=9.0, silence=3.0)


async def ask(step, clock=None, **target):
    upstream = FakeUpstream(lambda _request: step)
    client = Client(upstream, parse_target("http://h:1/x", "chat", **target), clock or Clock())
    flight = Flight(999.0)
    await client.ask(flight, b"{}", PATIENCE)
    return flight, upstream


async def test_a_whole_answer():
    clock = Clock()
    flight, upstream = await ask(FakeAnswer(*CHAT), clock)
    record = flight.record(5000.0, start=900.0)
    assert (record.due, record.sent, record.ended, record.first, record.last) == (99.0, 100.0, 100.0, 100.0, 100.0)
    assert (record.tokens, record.prompt_tokens, record.error) == (5, 7, "")
    (request,) = upstream.requests
    assert (request.target, request.host, request.body) == (b"/x/v1/chat/completions", b"h:1", b"{}")


async def test_headers_that_were_asked_for():
    _, upstream = await ask(FakeAnswer(*CHAT), headers=(("Authorization", "Bearer k"),))
    assert (b"authorization", b"Bearer k") in upstream.requests[0].headers


async def test_timers_count_from_now():
    now = asyncio.get_running_loop().time()
    _, upstream = await ask(FakeAnswer(*CHAT))
    (timers,) = upstream.timers
    assert timers.until - now == pytest.approx(9.0, abs=0.5)
    assert (timers.whole, timers.idle, timers.connect) == (False, 3.0, 5.0)


@pytest.mark.parametrize(
    ("step", "error", "detail"),
    [
        (ConnectTimeout(), "connect", "the engine cannot be reached: connect_timeout"),
        (UpstreamError("gone", "reset"), "reset", "gone"),
        (UpstreamTimeout("no_answer"), "no_answer", "no byte for 9 s"),
        (FakeAnswer(CHAT[1], UpstreamTimeout("idle_timeout")), "stalled", "no byte for 3 s in the middle of an answer"),
        (FakeAnswer(CHAT[1], UpstreamError("gone", "reset")), "reset", "gone"),
        (FakeAnswer(*CHAT[:-1]), "truncated", "the stream ended without [DONE]"),
        (FakeAnswer(CHAT[-1]), "empty", "the answer has no token"),
        (FakeAnswer(event(error={"message": "boom"}), CHAT[-1]), "error_event", "an error in the stream: boom"),
        (FakeAnswer(b"data: oops\n"), "malformed", "the stream holds no event of OpenAI's: "),
        (FakeAnswer(b'{"error": {"message": "busy"}}', status=503), "status_503", "503 busy"),
        (FakeAnswer(status=502), "status_502", "502"),
    ],
)
async def test_what_goes_wrong_is_named(step, error, detail):
    flight, _ = await ask(step)
    assert (flight.error, flight.detail[: len(detail)]) == (error, detail)
    assert flight.ended is not None
    assert flight.record(0.0).failed


async def test_a_gateways_own_refusal_says_so():
    headers = [(b"x-error-model-rps-exceeded", b"true"), (b"x-error-empty", b"")]
    flight, _ = await ask(FakeAnswer(b'{"error": {"message": "too many"}}', status=429, headers=headers))
    assert flight.detail == "429 too many (x-error-model-rps-exceeded)"


async def test_a_request_under_way_is_cut():
    never = asyncio.Event()
    answer = FakeAnswer(CHAT[1], never)
    upstream = FakeUpstream(lambda _request: answer)
    flight = Flight(999.0)
    task = asyncio.create_task(Client(upstream, parse_target("http://h:1", "chat"), Clock()).ask(flight, b"", PATIENCE))
    await answer.reading.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert answer.closed
    record = flight.record(1003.0)
    assert (record.error, record.ended, record.tokens) == ("unfinished", 1003.0, 1)
