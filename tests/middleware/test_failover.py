"""Another pod, as long as no body byte has gone to the client (F19-F24, F31, F35)."""

import asyncio
from collections import Counter

import pytest

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.retry import RetryBudget
from aibrix_mw.scope import PLAN, REQUEST
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.plan import Plan
from tests.support import (
    BODY,
    CHAT,
    STREAM_BODY,
    Clock,
    FakeAnswer,
    Running,
    ask,
    ask_for,
    in_turn,
    info,
    registry_of,
)

FAILURES = {
    "connect": lambda: UpstreamError("the engine cannot be reached", "connect"),
    "connect timeout": ConnectTimeout,
    "reset": lambda: UpstreamError("the engine closed the connection", "reset"),
    "malformed": lambda: UpstreamError("the engine's answer is malformed", "malformed"),
    "head, then reset": lambda: FakeAnswer(UpstreamError("the engine closed the connection", "reset")),
    "502": lambda: FakeAnswer(b"bad gateway", status=502),
    "503": lambda: FakeAnswer(b"busy", status=503),
}
REASONS = {"connect timeout": "connect", "head, then reset": "reset", "502": "status_502", "503": "status_503"}


def always(make):
    return lambda _request: make()


@pytest.mark.parametrize("kind", FAILURES)
async def test_another_pod_answers(kind):
    first = FAILURES[kind]()
    async with Running(in_turn(first, FakeAnswer(b"{}"))) as running:
        reply = await running.ask()
        assert (reply.status, reply.body) == (200, b"{}")
        assert len(set(running.upstream.hosts)) == 2
        assert running.upstream.bodies == [BODY, BODY]
        pod = running.upstream.hosts[1].rpartition(".")[2]
        assert [value for name, value in reply.headers if name == b"target-pod"] == [b"pod-" + pod.encode()]
        reason = REASONS.get(kind, kind)
        attempts = await running.counted("aibrix_gateway_upstream_attempts_total", "model", "reason")
        assert attempts == {("m", reason): 1, ("m", "ok"): 1}
        assert await running.outcomes() == {("m", "default", "200", "ok"): 1}
    assert not isinstance(first, FakeAnswer) or first.closed


@pytest.mark.parametrize("kind", ["connect", "reset", "malformed"])
async def test_f20_no_pod_answers(kind):
    async with Running(always(FAILURES[kind]), pods=4) as running:
        reply = await running.ask()
        assert (reply.status, reply.json()["error"]["code"]) == (502, "upstream_error")
        assert len(set(running.upstream.hosts)) == len(running.upstream.hosts) == 2
        attempts = await running.counted("aibrix_gateway_upstream_attempts_total", "model", "reason")
        assert attempts == {("m", kind): 2}


async def test_f20_the_last_real_answer_is_passed_on():
    answers = [
        FakeAnswer(b"first", status=503),
        FakeAnswer(b"se", b"cond", status=503, headers=[(b"x-vllm", b"1"), (b"retry-after", b"9")]),
    ]
    async with Running(in_turn(*answers)) as running:
        reply = await running.ask()
        assert (reply.status, reply.body, reply.complete) == (503, b"second", True)
        assert (reply.header("x-vllm"), reply.header("retry-after")) == (b"1", b"9")
        assert reply.header("x-error-upstream") is None
        assert reply.header("x-request-id")
        assert await running.outcomes() == {("m", "default", "503", "engine_error"): 1}
        attempts = await running.counted("aibrix_gateway_upstream_attempts_total", "model", "reason")
        assert attempts == {("m", "status_503"): 2}
    assert all(answer.closed for answer in answers)


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 501, 504])
async def test_f20_f31_other_answers_are_passed_on_at_once(status):
    async with Running(always(lambda: FakeAnswer(b'{"detail": "x"}', status=status))) as running:
        reply = await running.ask()
        assert (reply.status, reply.body, len(running.upstream.hosts)) == (status, b'{"detail": "x"}', 1)
        outcome = "engine_error" if status >= 500 else "ok"
        assert await running.outcomes() == {("m", "default", str(status), outcome): 1}


@pytest.mark.parametrize("timer", ["first_byte_timeout", "response_timeout"])
async def test_f24_timeouts_are_not_repeated(timer):
    async with Running(always(lambda: UpstreamTimeout(timer))) as running:
        reply = await running.ask()
        assert (reply.status, len(running.upstream.hosts)) == (504, 1)


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_f24_timers_run_over_all_attempts(body):
    async with Running(in_turn(FAILURES["reset"](), FAILURES["reset"](), FakeAnswer(b"x")), pods=3) as running:
        await running.ask(body)
        first, second = running.upstream.timers
    assert first == second
    whole = body is BODY
    assert (first.timer, first.whole) == ("response_timeout" if whole else "first_byte_timeout", whole)
    ahead = first.until - asyncio.get_running_loop().time()
    assert ahead == pytest.approx(600 if whole else 300, abs=2)
    assert (first.connect, first.idle) == (1, 300)


@pytest.mark.parametrize(
    ("pods", "attempts", "asked"),
    [(1, 2, 2), (1, 3, 3), (2, 3, 2), (3, 3, 3), (5, 3, 3), (5, 1, 1)],
)
async def test_f23_the_same_pod_only_if_it_is_the_only_one(pods, attempts, asked):
    async with Running(always(FAILURES["reset"]), pods=pods, routing={"attempts": attempts}) as running:
        await running.ask()
        hosts = Counter(running.upstream.hosts)
    assert hosts.total() == asked
    assert len(hosts) == min(pods, asked)


async def test_a_filter_holds_for_every_attempt():
    infos = [info(1, labels={"a": "b"}), info(2), info(3, labels={"a": "b"})]
    async with Running(always(FAILURES["reset"]), pods=infos, routing={"attempts": 3}) as running:
        await running.ask(headers=[(b"external-filter", b"a=b")])
        assert sorted(running.upstream.hosts) == ["10.0.0.1", "10.0.0.3"]


async def test_when_the_last_pod_leaves_the_answer_so_far_is_passed_on():
    def fail_and_leave(_request):
        running.registry.put("test", info(1))
        return FakeAnswer(b"busy", status=503)

    labelled = [info(1, labels={"a": "b"}), info(2)]
    async with Running(fail_and_leave, pods=labelled) as running:
        reply = await running.ask(headers=[(b"external-filter", b"a=b")])
        assert (reply.status, reply.body) == (503, b"busy")


async def test_f35_a_body_over_the_replay_size_is_tried_once():
    async with Running(always(FAILURES["connect"]), limits={"max_replay_bytes": len(BODY) - 1}) as running:
        assert (await running.ask()).status == 502
        assert len(running.upstream.hosts) == 1
        assert not running.upstream.requests[0].reuse


@pytest.mark.parametrize(("path", "asked"), [("/v1/mine", 1), (CHAT, 2)])
async def test_f21_extra_paths_are_tried_once(path, asked):
    async with Running(always(FAILURES["reset"]), routing={"extra_paths": ["/v1/mine"]}) as running:
        assert (await running.ask(path=path)).status == 502
        assert len(running.upstream.hosts) == asked
        assert running.upstream.requests[0].target == path.encode()
        assert running.upstream.requests[0].reuse == (path == CHAT)


async def test_f22_the_budget_bounds_retries():
    async with Running(always(FAILURES["reset"]), routing={"retry_budget": 0.25, "retry_floor": 0}) as running:
        for _ in range(20):
            await running.ask()
    assert len(running.upstream.hosts) == 20 + 5


@pytest.mark.parametrize(
    ("failure", "options", "left"),
    [
        (lambda: UpstreamTimeout("response_timeout"), {}, 30),
        (FAILURES["reset"], {"attempts": 1}, 30),
        (FAILURES["reset"], {}, 29),
        (FAILURES["reset"], {"attempts": 3}, 29),
    ],
)
async def test_only_a_retry_that_is_made_costs_one(failure, options, left):
    budget = RetryBudget(0, 3, Clock())

    async def fail(scope, receive, send):
        raise failure()

    async def outside(scope, receive, send):
        REQUEST.put(scope, ask_for())
        PLAN.put(scope, Plan(LeastRequest(), "least-request", "default"))
        await routing(scope, receive, send)

    routing = RoutingMiddleware(fail, registry=registry_of(info(1), info(2)), budget=budget, **options)
    await ask(outside)
    assert budget.balance == left
