"""What a gateway tells operators of itself."""

import json

import pytest

from aibrix_mw.parts.choosing import WATCHED, WATCHED_SECONDS
from aibrix_mw.parts.observing import keep_traces, tracing_layers
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.settings import from_dict
from tests.explain.test_limits import at_rest
from tests.legs import PAIR, disaggregated
from tests.support import STREAM_BODY, FakeAnswer, Running, ask, info

CONFIG = {
    "requestsPerSecond": 9,
    "profiles": {
        "default": {"requestsPerSecond": 5},
        "batch": {"routingStrategy": "random", "requestsInflight": 2},
        "slow": {"requestsPerSecondPerReplica": 0.25},
    },
}
CANARY = "canary-7d1f"


async def status(running):
    return (await ask(running.gateway.admin, b"", "/status.json", method="GET")).json()


async def test_profiles_with_limit_and_use():
    async with Running(config=CONFIG) as running:
        at_rest(running)
        for _ in range(2):
            await running.ask()
        found = await status(running)
        again = await status(running)
    model = found["models"]["m"]
    assert (found["counted_by"], found["gateways"]) == ("process", 1)
    assert model["limit"] == {"limit": 9, "per": 1.0, "used": 2, "left": 7}
    assert model["profiles"] == [
        {
            "name": "default",
            "default": True,
            "strategy": "least-request",
            "in_flight": 0,
            "limit": {"limit": 5, "per": 1.0, "used": 2, "left": 3},
        },
        {"name": "batch", "default": False, "strategy": "random", "in_flight": 2, "limit": None},
        {
            "name": "slow",
            "default": False,
            "strategy": "least-request",
            "in_flight": 0,
            "limit": {"limit": 1, "per": 2.0, "used": 0, "left": 1},
        },
    ]
    assert again["models"]["m"]["limit"] == model["limit"]


async def test_a_locked_strategy_is_that_of_every_profile():
    async with Running(config=CONFIG | {"lockedRoutingStrategy": "power-of-two"}) as running:
        profiles = (await status(running))["models"]["m"]["profiles"]
    assert {profile["strategy"] for profile in profiles} == {"power-of-two"}


async def test_limits_that_nobody_counts():
    settings = {"store": {"url": "redis://127.0.0.1:1"}, "rate_limit": {"on_store_error": "open"}}
    async with Running(config=CONFIG, **settings) as running:
        found = await status(running)
    assert found["counted_by"] == "nobody"
    assert found["models"]["m"]["limit"] == {"limit": 9, "per": 1.0, "used": None, "left": None}


async def test_what_engines_report_while_it_is_fresh():
    async with Running() as running:
        fresh, stale = running.registry.serving("m")
        fresh.metrics = EngineMetrics(expires=float("inf"), waiting=3.0, running=8.0, kv_cache_usage=0.5)
        stale.metrics = EngineMetrics(expires=0.0, waiting=3.0, running=8.0, kv_cache_usage=0.5)
        pods = (await status(running))["models"]["m"]["pods"]
    assert [(pod["running"], pod["waiting"], pod["kv_cache_usage"]) for pod in pods] == [
        (8.0, 3.0, 0.5),
        (None, None, None),
    ]


async def test_engines_are_asked_for_it_while_somebody_looks(monkeypatch):
    async with Running() as running:
        choosing = running.gateway.choosing
        assert choosing.needs("m") == frozenset()
        await status(running)
        assert choosing.needs("m") == WATCHED
        monkeypatch.setattr(choosing, "_watched", choosing._watched - WATCHED_SECONDS)
        assert choosing.needs("m") == frozenset()


async def test_roles_ejection_and_latency():
    async with disaggregated(pods=PAIR, ejection={"consecutive_failures": 1, "max_share": 1}) as running:
        admission = running.gateway.choosing.admission
        pod = running.registry.pod("uid-2")
        pod.latency.saw_output(1.0, 10, 0.0)
        admission.ejection.failed(pod, admission.placed(pod), [pod, running.registry.pod("uid-1")])
        first, second = (await status(running))["models"]["m"]["pods"]
    assert (first["role"], first["ejected"], first["output_token"]) == ("prefill of a", False, None)
    assert (second["role"], second["ejected"]) == ("decode of a", True)
    assert second["output_token"] is not None


def tracing(**settings):
    kept = keep_traces(from_dict({"tracing": {"sample_ratio": 1.0}}))
    running = Running(outer=tracing_layers(from_dict({"tracing": {"sample_ratio": 1.0}}), kept), **settings)
    running.gateway.tracing = kept
    return running


async def test_traces_are_none_where_tracing_is_off():
    async with Running() as running:
        await running.ask()
        assert (await status(running))["traces"] is None


async def test_traces():
    def script(_request):
        return FakeAnswer(b'data: {"x": 1}\n\n', b"data: [DONE]\n\n", headers=[(b"content-type", b"text/event-stream")])

    async with tracing(script=script, pods=1) as running:
        await running.ask(STREAM_BODY)
        await running.ask(b'{"model": "no-such"}')
        refused, good = (await status(running))["traces"]
    assert (refused["outcome"], refused["strategy"]) == ("unknown_model", None)
    assert (good["outcome"], good["strategy"], good["error"]) == ("ok", "least-request", False)
    server, route, client = good["spans"]
    assert [span["kind"] for span in (server, route, client)] == ["server", "internal", "client"]
    assert (server["label"], route["label"]) == ("POST /v1/chat/completions", "route · pod-1")
    assert "first_token" in [name for name, _ in client["events"]]
    assert 0 <= client["offset"] <= client["offset"] + client["seconds"] <= good["seconds"] + 0.001


async def test_neither_prompt_nor_key_is_in_it():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": CANARY}]}).encode()
    async with tracing(pods=[info(1)]) as running:
        keys = [(b"authorization", CANARY.encode()), (b"x-api-key", CANARY.encode())]
        for path in ("/v1/chat/completions", "/v1/elsewhere"):
            await running.ask(body, path, keys, query_string=CANARY.encode())
        await running.ask(body.replace(b'"m"', b'"no-such"'), headers=[(b"user-agent", CANARY.encode())])
        text = json.dumps(await status(running))
    assert CANARY not in text


async def test_the_page_loads_nothing_from_elsewhere():
    async with Running() as running:
        reply = await ask(running.gateway.admin, b"", "/status", method="GET")
    assert reply.header("content-type") == b"text/html; charset=utf-8"
    assert b"default-src 'none'" in reply.header("content-security-policy")
    text = reply.body.decode()
    assert "://" not in text
    assert "innerHTML" not in text


@pytest.mark.parametrize("path", ["/status", "/status.json"])
async def test_only_get(path):
    async with Running() as running:
        assert (await ask(running.gateway.admin, b"", path)).status == 405
