"""The access log: who gets a line, and what it says."""

import asyncio
import json
import logging

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.middleware.access_log import MOST_ERRORS, AccessLogMiddleware
from tests.legs import disaggregated
from tests.middleware.tracing_support import tracing
from tests.support import BODY, CHAT, SSE_HEADERS, STREAM_BODY, Client, Clock, FakeAnswer, Running, ask, in_turn

USAGE = b'{"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}'
PROFILES = {
    "profiles": {"default": {}, "batch": {"routingStrategy": "random"}, "long": {"routingConfig": {"maxTokensGte": 1}}}
}
AUTO = b'{"model": "m", "max_tokens": 2}'


@pytest.fixture
def lines(caplog):
    """What has been logged, as objects."""
    caplog.set_level(logging.INFO, "aibrix_mw.access")
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "aibrix_mw.access"]


async def one(lines, *args, script=None, log="all", **options):
    async with Running(script, log={"access": log}, **options) as running:
        await running.ask(*args)
    (line,) = lines()
    return line


async def test_everything_about_a_request(lines):
    headers = [(b"x-request-id", b"mine"), (b"user", b"ann"), (b"config-profile", b"batch")]
    reset = UpstreamError("the engine closed the connection", "reset")
    line = await one(lines, BODY, CHAT, headers, script=in_turn(reset, FakeAnswer(USAGE)), config=PROFILES)
    times = {key: line.pop(key) for key in ("time", "duration", "routing", "first_byte", "engine")}
    first, second = (attempt["pod"] for attempt in line["attempts"])
    assert {first, second} == {"pod-1", "pod-2"}
    assert line == {
        "request_id": "mine",
        "method": "POST",
        "path": CHAT,
        "status": 200,
        "outcome": "ok",
        "user": "ann",
        "requested_model": "m",
        "model": "m",
        "profile": "batch",
        "profile_source": "header",
        "strategy": "random",
        "strategy_source": "profile",
        "pod": second,
        "attempts": [{"pod": first, "reason": "reset"}, {"pod": second, "reason": "ok"}],
        "input_tokens": 3,
        "output_tokens": 2,
        "cached_tokens": 1,
    }
    assert 0 < times["routing"] <= times["first_byte"] <= times["duration"] < 5
    assert 0 <= times["engine"] <= times["duration"]


@pytest.mark.parametrize(
    ("wanted", "source", "profile"),
    [
        (b"batch", "header", "batch"),
        (b" ", "default", "default"),
        (b"unheard of", "default", "default"),
        (b"AUTO", "auto", "long"),
    ],
)
async def test_where_the_profile_is_from(lines, wanted, source, profile):
    line = await one(lines, AUTO, CHAT, [(b"config-profile", wanted)], config=PROFILES)
    assert (line["profile"], line["profile_source"]) == (profile, source)


@pytest.mark.parametrize("options", [{"routing": {"client_headers": []}}, {}])
async def test_a_profile_that_the_client_may_not_choose(lines, options):
    config = PROFILES | ({} if options else {"authoritativeRoutingPolicy": True})
    line = await one(lines, BODY, CHAT, [(b"config-profile", b"default")], config=config, **options)
    assert (line["profile"], line["profile_source"]) == ("default", "default")


async def test_alone_it_knows_what_is_in_the_scope(lines):
    async def broken(scope, receive, send):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ask(AccessLogMiddleware(broken, wall_clock=Clock(1_700_000_000.25)), BODY)
    (line,) = lines()
    assert line.pop("duration") > 0
    assert line == {
        "time": "2023-11-14T22:13:20.250Z",
        "method": "POST",
        "path": CHAT,
        "status": 500,
        "outcome": "internal_error",
    }


async def test_only_requests_with_an_outcome_get_a_line(lines):
    async with Running(log={"access": "all"}) as running:
        await running.ask(b"", "/healthz", method="GET")
    assert lines() == []


# --- who gets one

ENDS = {
    "ok": (lambda: FakeAnswer(b"{}"), False),
    "an engine's refusal": (lambda: FakeAnswer(b"{}", status=400), True),
    "an engine's error": (lambda: FakeAnswer(b"{}", status=500), True),
    "no engine": (lambda: UpstreamError("the engine cannot be reached", "connect"), True),
    "cut short": (lambda: FakeAnswer(b"data: 1\n\n", UpstreamError("gone", "reset"), headers=SSE_HEADERS), True),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("log", ["errors", "all", "none"])
async def test_errors_or_all(lines, end, log):
    answer, is_error = ENDS[end]
    async with Running(lambda _: answer(), pods=1, log={"access": log}) as running:
        await running.ask()
    assert len(lines()) == (log == "all" or (log == "errors" and is_error))


async def test_what_fails_names_its_reason(lines):
    answer, _ = ENDS["cut short"]
    line = await one(lines, STREAM_BODY, script=in_turn(answer()), pods=1)
    assert (line["outcome"], line["attempts"]) == ("stream_truncated", [{"pod": "pod-1", "reason": "reset"}])


async def test_a_model_that_nothing_serves_is_named_up_to_a_length(lines):
    name = "no-such-" + 300 * "x"
    line = await one(lines, json.dumps({"model": name}).encode(), log="errors")
    assert (line["outcome"], line["requested_model"], "model" in line) == ("unknown_model", name[:256], False)


async def test_a_client_that_leaves(lines):
    never = asyncio.Event()
    answer = FakeAnswer(never, headers=SSE_HEADERS)
    async with Running(in_turn(answer), pods=1, log={"access": "errors"}) as running:
        client = Client(running.gateway, STREAM_BODY, extension=True)
        asking = asyncio.create_task(client.ask())
        await answer.reading.wait()
        client.leave()
        await asking
    (line,) = lines()
    assert (line["status"], line["outcome"]) == (499, "client_cancelled")
    assert line["attempts"] == [{"pod": "pod-1", "reason": "client_cancelled"}]


async def test_a_flood_of_errors_is_cut_and_counted(lines):
    clock = Clock(7.0)

    async with Running(log={"access": "none"}) as running:
        app = AccessLogMiddleware(running.gateway.stack, only_errors=True, wall_clock=clock)
        for _ in range(MOST_ERRORS + 5):
            await ask(app, b"not json")
        clock.now = 8.0
        await ask(app, b"not json")
    *first, last = lines()
    assert len(first) == MOST_ERRORS
    assert [line.get("left_out") for line in (first[-1], last)] == [None, 5]


# --- traces and two legs


async def test_the_trace_is_named(lines):
    with tracing() as traced:
        line = await one(lines, BODY, outer=[traced.layer()])
        assert line["trace_id"] == traced.server.trace


async def test_a_prefill_pod_is_named(lines):
    async with disaggregated(log={"access": "all"}) as running:
        await running.ask()
    (line,) = lines()
    assert (line["pod"], line["prefill_pod"]) == ("pod-2", "pod-1")


async def test_neither_text_nor_query_nor_key_is_in_a_line(lines):
    async with Running(log={"access": "all"}) as running:
        for body in (BODY, b'{"canary": ', b'{"model": "no-such", "prompt": "canary"}'):
            await running.ask(body, headers=[(b"authorization", b"Bearer canary")], query_string=b"key=canary")
    text = json.dumps(lines())
    assert "canary" not in text
    assert "hello" not in text
