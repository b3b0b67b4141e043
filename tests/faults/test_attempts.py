"""F22 to F24: what attempts cost, and what they may take, on a whole gateway."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.retry import RetryBudget
from tests.support import STREAM_BODY, Clock, FakeAnswer, Running, ask
from tests.upstream.raw_engine import RawEngine

SECONDS, RATE, AT_ONCE = 10, 500, 50
NEAR = 0.05
TRIES = 5
"""The machine may be busy with other tests: one quiet moment of so many will do."""


@pytest.mark.parametrize("status", [502, 503])
async def test_f22_all_pods_fail_under_load(status):
    """Engines see at most 1.2 requests for each of 5,000 in 10 s, and 60 more; and most of those are made."""
    async with Running(lambda _: FakeAnswer(b"busy", status=status), pods=8) as running:
        clock = Clock()
        routing = running.gateway.settings.routing
        budget = RetryBudget(routing.retry_budget, routing.retry_floor, clock)
        running.gateway.layers[RoutingMiddleware].budget = budget
        requests = 0
        while requests < SECONDS * RATE:
            replies = await asyncio.gather(*(running.ask() for _ in range(AT_ONCE)))
            assert {reply.status for reply in replies} == {status}
            requests += AT_ONCE
            clock.now += AT_ONCE / RATE
        seen = len(running.upstream.hosts)
    assert 1.15 * requests < seen <= 1.2 * requests + 60


async def slow_failures(attempts, body, timer):
    """Five engines that break off after 0.15 s each, and 0.4 s for all of them; status, seconds, attempts."""

    async def breaks_off(peer):
        await peer.request()
        await asyncio.sleep(0.15)
        peer.reset()

    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(RawEngine(breaks_off)) for _ in range(5)]
        models = {"m": {"endpoints": [f"http://{engine.address.netloc}" for engine in engines]}}
        app = create_app({"models": models, "routing": {"attempts": attempts}, "upstream": {timer: 0.4}})
        async with app.running():
            loop = asyncio.get_running_loop()
            begun = loop.time()
            reply = await ask(app, body)
            took = loop.time() - begun
            await asyncio.sleep(0.2)  # a later attempt would be made now
        seen = sum(len(requests) for engine in engines for requests in engine.requests)
        return reply.status, reply.json()["error"]["message"], took, seen


@pytest.mark.parametrize(("body", "timer"), [(STREAM_BODY, "first_byte_timeout"), (b"", "response_timeout")])
@pytest.mark.parametrize(("attempts", "status", "seconds", "asked"), [(2, 502, 0.3, 2), (5, 504, 0.4, 3)])
async def test_f23_f24_tries_and_time_are_both_limited(attempts, status, seconds, asked, body, timer):
    """What is used up first ends it: 2 attempts at 0.3 s, or the time within the third, and no attempt follows."""
    late = []
    for _ in range(TRIES):
        seen_status, message, took, seen = await slow_failures(attempts, body or b'{"model": "m"}', timer)
        late.append(abs(took - seconds))
        if late[-1] <= NEAR:
            assert (seen_status, seen, timer in message) == (status, asked, status == 504)
            return
    pytest.fail(f"never within {NEAR} s: {late}")
