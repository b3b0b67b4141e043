"""Spans of what only some requests have: a limit that a store counts, two legs."""

import asyncio

import pytest

from tests.legs import Engines, answer, disaggregated, leg
from tests.middleware.tracing_support import CALL, ROUTE, SERVER
from tests.support import STREAM_BODY, Running


async def test_a_limit_counted_here_makes_no_span(traced):
    config = {"profiles": {"default": {"requestsPerSecond": 1}}}
    async with Running(outer=[traced.layer()], config=config, rate_limit={"per_replica": True}) as running:
        replies = [await running.ask() for _ in range(4)]
    refused = [span for span in traced.spans() if span.attributes.get("aibrix_mw.outcome") == "limited"]
    assert len(refused) == sum(reply.status == 429 for reply in replies) > 0
    assert not traced.named("aibrix_mw.limit")
    assert not refused[0].error


async def test_a_limit_that_a_store_counts(traced, valkey_url):
    config = {"requestsPerSecond": 0, "profiles": {"default": {"requestsPerSecond": 1}}}
    store = {"url": valkey_url, "namespace": "traced", "timeout": 5.0}
    async with Running(outer=[traced.layer()], config=config, store=store) as running:
        first = await running.ask()
    assert first.status == 200
    assert traced.tree() == [SERVER, ["INTERNAL aibrix_mw.limit"], ROUTE, CALL]
    (limit,) = traced.named("aibrix_mw.limit")
    assert limit.attributes == {
        "aibrix_mw.limit": 1,
        "aibrix_mw.limit.window": 1.0,
        "aibrix_mw.limit.decision": "taken",
        "aibrix_mw.limit.backend": "store",
    }


@pytest.mark.parametrize(("on_error", "backend"), [("local", "process"), ("open", "none"), ("refuse", None)])
async def test_a_limit_while_the_store_hangs(traced, on_error, backend):
    async def never(*_):
        await asyncio.Event().wait()

    config = {"profiles": {"default": {"requestsPerSecond": 1}}}
    options = {"store": {"url": "redis://127.0.0.1:9"}, "rate_limit": {"on_store_error": on_error}}
    async with Running(outer=[traced.layer()], config=config, **options) as running:
        limiter = running.gateway.counting.limiter
        limiter.breaker.away = None
        limiter.windows.take = never
        await running.ask()
    (limit,) = traced.named("aibrix_mw.limit")
    assert limit.attributes.get("aibrix_mw.limit.backend") == backend
    assert limit.attributes["aibrix_mw.limit.decision"] == ("taken" if backend else "refused")
    assert limit.error == (backend is None)
    if backend is None:
        assert traced.tree() == [f"{SERVER} !", ["INTERNAL aibrix_mw.limit !"]]
        assert limit.attributes["error.type"] == "store_refused"


# --- two legs

PREFILL = "CLIENT chat m"


async def test_prefill_and_decode(traced):
    async with disaggregated(outer=[traced.layer()]) as running:
        await running.ask(STREAM_BODY)
        prefill, decode = [dict(request.headers)[b"traceparent"].decode() for request in running.upstream.requests]
    assert traced.tree() == [SERVER, ROUTE, [PREFILL], CALL]
    first, second = traced.calls
    assert first.attributes["aibrix_mw.role"] == "prefill"
    assert first.attributes["aibrix_mw.pod"] == "pod-1"
    assert first.events == ["upstream.headers"]
    assert "aibrix_mw.role" not in second.attributes
    assert [prefill, decode] == [f"00-{span.trace}-{span.id}-01" for span in (first, second)]
    (route,) = traced.named("aibrix_mw.route")
    assert route.attributes["aibrix_mw.pod"] == "pod-2"
    assert route.attributes["aibrix_mw.prefill_pod"] == "pod-1"


async def test_a_prefill_that_fails(traced):
    pods = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill")]
    engines = Engines(prefills=(1, 3), pod1=[answer(status=500)], pod3=[answer(status=500)])
    async with disaggregated(engines, pods, outer=[traced.layer()]) as running:
        reply = await running.ask()
        assert reply.status == 200
    assert traced.tree() == [SERVER, ROUTE, [f"{PREFILL} !"], ROUTE, [f"{PREFILL} !"], ROUTE, CALL]
    assert traced.server.events == ["pd-prefill-request-error"] * 2
    *_, last = traced.named("aibrix_mw.route")
    assert last.attributes["aibrix_mw.fallback"] == "prefill_failed"


async def test_no_pair_makes_one_span_of_the_choice(traced):
    pods = [leg(1, "prefill")]
    async with disaggregated(None, pods, outer=[traced.layer()]) as running:
        assert (await running.ask()).status == 503
    assert traced.tree() == [f"{SERVER} !", ["INTERNAL aibrix_mw.route !"]]
    assert traced.server.attributes["error.type"] == traced.named("aibrix_mw.route")[0].attributes["error.type"]
