"""MetricsMiddleware: every request is counted once, with how it ended."""

import asyncio
import json

import pytest

from aibrix_mw.errors import NoReadyPods, UpstreamError
from aibrix_mw.middleware.metrics import MetricsMiddleware
from aibrix_mw.outcome import Attempt, FailedAttempt, Outcome, Prefill
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import BUILT_IN_PROFILE
from aibrix_mw.scope import ATTEMPT, OUTCOME, PLAN, PREFILLS, PROFILE, REQUEST, TARGET, refuse
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.telemetry.metrics import GatewayMetrics
from tests.support import BODY, STREAM_BODY, Client, Clock, FakeAnswer, Running, ask, ask_for, info, settle


def counting(app, clock=None):
    metrics = GatewayMetrics(PodRegistry())
    return metrics, MetricsMiddleware(app, metrics=metrics, clock=clock or Clock())


async def test_times_by_a_clock_in_hand():
    """Head at 100, body at 101, pod chosen at 101.5, sent at 102, first byte at 105, last byte at 109, end at 110.

    Before that one pod has been waited for in vain, for 0.25 seconds.
    """
    clock = Clock(100.0)

    async def app(scope, receive, send):
        request = ask_for()
        request.received = 101.0
        REQUEST.put(scope, request)
        PROFILE.put(scope, BUILT_IN_PROFILE)
        PLAN.put(scope, Plan(LeastRequest(), "least-request", "default"))
        TARGET.put(scope, Target(Pod(info(1)), fallback="no_data"))
        ATTEMPT.put(scope, Attempt(2, 0.0, 101.5, 0.25, (FailedAttempt("pod-2", "reset", 0.25),)))
        OUTCOME.put(scope, Outcome(name="ok", status=200, sent=102.0, first_byte=105.0, last_byte=109.0))
        clock.now = 110.0

    metrics, counted = counting(app, clock)
    await ask(counted)
    assert metrics.requests == {("m", "default", "200", "ok"): 1}
    assert metrics.duration["m",].sum == 10.0
    assert metrics.first_byte["m",].sum == 5.0
    assert metrics.overhead[()].sum == 10.0 - 1.0 - 7.0 - 0.25
    assert metrics.pick["least-request",].sum == 0.25
    assert metrics.routing["m", "least-request"].sum == 1.5
    assert metrics.attempts == {("m", "reset"): 1, ("m", "ok"): 1}
    assert metrics.fallbacks == {("m", "least-request", "no_data"): 1}


@pytest.mark.parametrize(
    ("legs", "failed", "number", "waited"),
    [
        ([(102.0, 103.0)], [], 1, 1.0),
        ([(102.0, 108.0)], [], 1, 2.0),  # both legs at once: from 104 on it is the decode leg that is waited for
        ([(100.5, 101.0), (102.0, 103.0)], [0.75], 2, 1.75),  # the first leg is a part of the attempt that failed
        ([], [0.5, 0.25], 3, 0.75),
        ([], [0.5, 7.0], 2, 0.5),  # the answer of the last attempt, a 503, is what the client gets
    ],
)
async def test_waiting_for_engines_is_no_overhead(legs, failed, number, waited):
    """Head at 100, last pod chosen at 102, sent at 104, last byte and end at 110."""
    clock = Clock(100.0)

    async def app(scope, receive, send):
        request = ask_for()
        request.received = 100.0
        REQUEST.put(scope, request)
        attempts = tuple(FailedAttempt("pod-2", "reset", seconds) for seconds in failed)
        ATTEMPT.put(scope, Attempt(number, 0.0, 102.0, 0.0, attempts))
        if legs:
            PREFILLS.put(scope, tuple(Prefill("pod-3", *leg) for leg in legs))
        OUTCOME.put(scope, Outcome(name="ok", status=200, sent=104.0, first_byte=105.0, last_byte=110.0))
        clock.now = 110.0

    metrics, counted = counting(app, clock)
    await ask(counted)
    assert metrics.overhead[()].sum == 10.0 - 6.0 - waited


@pytest.mark.parametrize(("name", "family"), [("stream_truncated", "truncated"), ("client_cancelled", "cancelled")])
async def test_those_with_a_counter_of_their_own(name, family):
    async def app(scope, receive, send):
        REQUEST.put(scope, ask_for())
        OUTCOME.put(scope, Outcome(name=name, status=200))

    metrics, counted = counting(app)
    await ask(counted)
    assert getattr(metrics, family) == {("m",): 1}
    assert metrics.requests == {("m", "", "200", name): 1}
    assert not metrics.first_byte


USED = {"prompt_tokens": 21, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 16}}


@pytest.mark.parametrize("split", [1, 9, 4096])
async def test_tokens_as_the_engine_counts_them(split):
    answer = json.dumps({"choices": [{"message": {"content": "hi"}}], "usage": USED}).encode()
    chunks = [answer[at : at + split] for at in range(0, len(answer), split)]
    async with Running(lambda _: FakeAnswer(*chunks)) as running:
        assert (await running.ask()).body == answer
        counted = await running.counted("aibrix_gateway_tokens_total", "model", "kind")
    assert counted == {("m", "input"): 21, ("m", "output"): 12, ("m", "cached"): 16}


async def test_tokens_are_counted_once_with_limits_of_users_inside():
    answer = json.dumps({"choices": [], "usage": USED}).encode()
    async with Running(lambda _: FakeAnswer(answer), users={"records": {"u": {"tpm": 1000}}}) as running:
        await running.ask(headers=[(b"user", b"u")])
        counted = await running.counted("aibrix_gateway_tokens_total", "model", "kind")
    assert counted["m", "input"] == 21


@pytest.mark.parametrize(
    ("body", "status", "seen"), [(STREAM_BODY, 200, {("m",): 1}), (STREAM_BODY, 500, {}), (BODY, 200, {})]
)
async def test_the_first_token_is_that_of_a_stream(body, status, seen):
    async with Running(lambda _: FakeAnswer(b"data: x\n\n", status=status)) as running:
        await running.ask(body)
        assert await running.counted("aibrix_gateway_time_to_first_token_seconds_count", "model") == seen


async def test_an_unknown_model_is_no_label():
    metrics, counted = counting(lambda scope, receive, send: refuse(NoReadyPods("secret"), scope, receive, send))
    await ask(counted)
    assert metrics.requests == {("_unknown", "", "503", "no_ready_pods"): 1}
    assert not metrics.duration


async def test_a_crash_is_counted_and_goes_on():
    async def app(scope, receive, send):
        raise ValueError("bug")

    metrics, counted = counting(app)
    with pytest.raises(ValueError, match="bug"):
        await ask(counted)
    assert metrics.requests == {("_unknown", "", "500", "internal_error"): 1}


async def test_a_crash_after_the_end_keeps_its_outcome():
    async def app(scope, receive, send):
        OUTCOME.put(scope, Outcome(name="ok", status=200))
        raise ValueError("bug")

    metrics, counted = counting(app)
    with pytest.raises(ValueError, match="bug"):
        await ask(counted)
    assert metrics.requests == {("_unknown", "", "200", "ok"): 1}


async def test_what_has_no_outcome_is_not_counted():
    async def app(scope, receive, send):
        pass

    metrics, counted = counting(app)
    await counted({"type": "lifespan"}, None, None)
    await ask(counted)
    assert not metrics.requests


async def test_every_request_has_exactly_one_outcome():
    script = iter(
        [
            FakeAnswer(b"x"),
            FakeAnswer(b"x", status=500),
            FakeAnswer(b"x", UpstreamError("x", "reset")),
            UpstreamError("x", "malformed"),
            UpstreamError("x", "malformed"),
        ]
    )
    async with Running(lambda _: next(script)) as running:
        for _ in range(4):
            await running.ask()
        await running.ask(b"{}")
        await running.ask(b'{"model": "nobody"}')
        await running.ask(path="/nowhere")
        await running.ask(b"", "/v1/models", method="GET")
        await running.ask(b"", "/v1/models/nobody", method="GET")
        for probe in ("/healthz", "/readyz"):
            await running.ask(b"", probe, method="GET")
            await running.ask(b"", probe, method="POST")
        assert await running.outcomes() == {
            ("m", "default", "200", "ok"): 1,
            ("m", "default", "500", "engine_error"): 1,
            ("m", "default", "200", "stream_truncated"): 1,
            ("m", "default", "502", "upstream_error"): 1,
            ("_unknown", "", "400", "bad_request"): 1,
            ("_unknown", "", "404", "unknown_model"): 2,
            ("_unknown", "", "404", "not_found"): 1,
            ("_unknown", "", "200", "ok"): 1,
        }


async def test_the_label_of_a_strategy_is_bounded():
    async with Running(strategies={"mine": LeastRequest}) as running:
        for wanted in (b"mine", b"random", b"least-request:2,session-affinity", b"least-request"):
            await running.ask(headers=[(b"routing-strategy", wanted)])
        picks = await running.counted("aibrix_gateway_pick_duration_seconds_count", "strategy")
    assert picks == {("mine",): 1, ("random",): 1, ("list",): 1, ("least-request",): 1}


async def test_what_clients_write_adds_no_series():
    async with Running() as running:
        for number in range(1, 10_001):
            await running.ask(b'{"model": "model-%d"}' % number)
            await running.ask(headers=[(b"routing-strategy", b"least-request:%d,session-affinity:1" % number)])
        models = await running.counted("aibrix_gateway_requests_total", "model", "code")
        picks = await running.counted("aibrix_gateway_pick_duration_seconds_count", "strategy")
    assert models == {("_unknown", "404"): 10_000, ("m", "200"): 10_000}
    assert picks == {("list",): 10_000}


async def test_what_is_under_way():
    go = asyncio.Event()
    async with Running(lambda _: FakeAnswer(go, b"x"), pods=1) as running:
        task = Client(running.gateway, BODY).start()
        await settle()
        assert await running.counted("aibrix_gateway_in_flight_requests", "model") == {("m",): 1}
        pods = await running.counted("aibrix_gateway_pod_in_flight", "model", "engine_pod", "engine_namespace")
        assert pods == {("m", "pod-1", "ns"): 1}
        go.set()
        await task
        assert await running.counted("aibrix_gateway_in_flight_requests", "model") == {("m",): 0}


async def test_headers_that_clients_send_in_vain():
    async def app(scope, receive, send):
        REQUEST.put(scope, ask_for(routing_strategy=b"random", config_profile=b"batch"))
        OUTCOME.put(scope, Outcome(name="ok", status=200))

    metrics = GatewayMetrics(PodRegistry())
    await ask(MetricsMiddleware(app, metrics=metrics, ignored_headers=("routing-strategy", "external-filter")))
    assert metrics.ignored_headers == {("routing-strategy",): 1}
