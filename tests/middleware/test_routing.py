"""RoutingMiddleware: the choice and the hold on a pod, in the whole stack."""

import asyncio
from collections import Counter

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Target
from aibrix_mw.scope import ATTEMPT, OUTCOME, PLAN, REQUEST, TARGET
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.plan import Plan
from tests.support import (
    BODY,
    SSE_HEADERS,
    Client,
    FakeAnswer,
    Running,
    ask,
    ask_for,
    in_turn,
    info,
    registry_of,
    settle,
)


async def test_64_at_once_over_4_pods_are_16_each_ten_times_in_a_row():
    go = asyncio.Event()
    async with Running(lambda _: FakeAnswer(go, b"{}"), pods=4) as running:
        for _ in range(10):
            go.clear()
            running.upstream.requests.clear()
            clients = [Client(running.gateway) for _ in range(64)]
            tasks = [client.start() for client in clients]
            await settle()
            assert running.in_flight == [16] * 4
            go.set()
            replies = await asyncio.gather(*tasks)
            assert set(Counter(running.upstream.hosts).values()) == {16}
            assert {reply.status for reply in replies} == {200}
            assert running.in_flight == [0] * 4


async def test_concurrent_requests_never_mix():
    def echo(request):
        number = bytes(request.body)[-4:-2]
        return FakeAnswer(b"<", number, b">", headers=[(b"x-number", number)])

    async with Running(echo, pods=4) as running:
        bodies = [b'{"model": "m", "x": "%02d"}' % number for number in range(100)]
        clients = [Client(running.gateway, [body[:9], body[9:]]) for body in bodies]
        replies = await asyncio.gather(*(client.ask() for client in clients))
    for number, reply in enumerate(replies):
        assert reply.body == b"<%02d>" % number
        assert reply.header("x-number") == b"%02d" % number
    assert sorted(running.upstream.bodies) == bodies


# --- the lease is exact


async def test_held_to_the_last_byte():
    step = [asyncio.Event(), asyncio.Event()]
    answer = FakeAnswer(step[0], b"data: 1\n\n", step[1], b"data: 2\n\n", headers=SSE_HEADERS)
    async with Running(lambda _: answer, pods=1) as running:
        task = Client(running.gateway).start()
        seen = []
        for event in step:
            await settle()
            seen += running.in_flight
            event.set()
        await task
        assert seen + running.in_flight == [1, 1, 0]


@pytest.mark.parametrize(
    "script",
    [
        lambda _: UpstreamError("x", "reset"),
        lambda _: FakeAnswer(UpstreamError("x", "reset")),
        lambda _: FakeAnswer(b"a", UpstreamError("x", "reset")),
        lambda _: FakeAnswer(b"no", status=503),
        lambda _: FakeAnswer(b"no", status=500),
        lambda _: FakeAnswer(b"x"),
    ],
    ids=["no answer", "head only", "truncated", "503", "500", "ok"],
)
async def test_released_however_it_ends(script):
    async with Running(script) as running:
        await running.ask()
        assert running.in_flight == [0, 0]


async def test_released_on_a_crash():
    async with Running(lambda _: ValueError("bug")) as running:
        with pytest.raises(ValueError, match="bug"):
            await running.ask()
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", "500", "internal_error"): 1}


async def test_released_on_cancel():
    async with Running(lambda _: asyncio.Event()) as running:
        task = Client(running.gateway).start()
        await settle()
        assert sum(running.in_flight) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (running.in_flight, running.upstream.aborted) == ([0, 0], 1)


# --- alone


class Noting(Strategy):
    """The first pod; notes what it hears."""

    heard: list[tuple[Target, Outcome]]

    def pick(self, request, pods, /):
        return Target(pods[0], headers=((b"x-noted", b"1"),))

    def observe(self, request, target, outcome, /):
        self.heard = [*getattr(self, "heard", []), (target, outcome)]


def routed(app, strategy, body=BODY, registry=None, **options):
    """Routing around an application, as if the layers outside had done their part."""
    routing = RoutingMiddleware(app, registry=registry or registry_of(info(1), info(2)), **options)

    async def outside(scope, receive, send):
        REQUEST.put(scope, ask_for(body))
        PLAN.put(scope, Plan(strategy, "noting", "default"))
        await routing(scope, receive, send)

    return outside


def inner(outcome=None):
    async def app(scope, receive, send):
        if outcome is not None:
            OUTCOME.put(scope, outcome)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})

    return app


async def test_a_strategy_hears_how_its_request_ended():
    strategy = Noting()
    outcome = Outcome(name="ok", status=200)
    client = Client(routed(inner(outcome), strategy))
    reply = await client.ask()
    assert strategy.heard == [(TARGET.require(client.scope), outcome)]
    assert reply.header("x-noted") == b"1"


async def test_an_inner_application_without_outcomes_will_do():
    strategy = Noting()
    assert (await ask(routed(inner(), strategy))).body == b"inner"
    assert not hasattr(strategy, "heard")


async def test_a_strategy_hears_of_failures_too():
    strategy = Noting()
    async with Running(
        in_turn(UpstreamError("x", "reset"), UpstreamError("x", "reset")), strategies={"n": Noting}
    ) as it:
        await it.ask(headers=[(b"routing-strategy", b"n")])
        strategy = it.gateway.catalogue.get("n")
    assert [outcome.name for _, outcome in strategy.heard] == ["upstream_error"]


async def test_how_long_the_choice_took():
    times = iter([10.0, 10.5])
    client = Client(routed(inner(), LeastRequest(), clock=lambda: next(times)))
    await client.ask()
    attempt = ATTEMPT.require(client.scope)
    assert (attempt.number, attempt.picked, attempt.pick_seconds, attempt.failed) == (1, 10.5, 0.5, ())


async def test_the_pod_goes_between_plan_and_choice():
    app = RoutingMiddleware(inner(), registry=registry_of(info(1, excluded="not_ready")))

    async def outside(scope, receive, send):
        REQUEST.put(scope, ask_for())
        PLAN.put(scope, Plan(LeastRequest(), "least-request", "default"))
        await app(scope, receive, send)

    reply = await ask(outside, BODY)
    assert (reply.status, reply.header("retry-after")) == (503, b"5")


# --- the engine's count of tokens


class Counting(LeastRequest):
    """Keeps what it observes."""

    counts_tokens = True

    def observe(self, request, target, outcome, /):
        seen.append((outcome.prompt_tokens, outcome.completion_tokens))


seen: list[tuple[int | None, int | None]] = []
USED = b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'


@pytest.mark.parametrize(
    ("strategy", "settings", "told"),
    [
        ("counting", {}, (3, 4)),
        ("counting:1,least-request:0", {}, (3, 4)),
        ("silent", {}, (None, None)),
        ("silent", {"users": {"records": {"al": {"tpm": 1000}}}}, (3, 4)),
        ("silent", {"metrics": {"enabled": True}}, (3, 4)),
    ],
)
async def test_tokens_are_counted_where_somebody_wants_them(strategy, settings, told):
    class Silent(Counting):
        counts_tokens = False

    strategies = {"counting": Counting, "silent": Silent}
    seen.clear()
    settings = {"metrics": {"enabled": False}} | settings
    async with Running(lambda _: FakeAnswer(USED), strategies=strategies, **settings) as running:
        await running.ask(headers=[(b"user", b"al"), (b"routing-strategy", strategy.encode())])
    assert seen == [told]
