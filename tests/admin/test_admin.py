"""The operators' application."""

import json

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from aibrix_mw import __version__
from aibrix_mw.strategies.random import Random
from tests.support import Running, ask, info

INVALID = '{"profiles": {}}'
OPEN_METRICS = [(b"accept", b"application/openmetrics-text; version=1.0.0; charset=utf-8")]


async def admin(running, path, headers=(), method="GET"):
    return await ask(running.gateway.admin, b"", path, headers, method=method)


async def test_metrics_in_both_formats():
    async with Running() as running:
        await running.ask()
        plain = await admin(running, "/metrics")
        opened = await admin(running, "/metrics", OPEN_METRICS)
    assert plain.header("content-type").startswith(b"text/plain; version=")
    assert opened.header("content-type").startswith(b"application/openmetrics-text; version=1.0.0")
    families = {family.name for family in plain_text(plain.body.decode())}
    assert families == {family.name for family in open_metrics(opened.body.decode())}
    assert "aibrix_gateway_requests" in families


async def test_metrics_that_are_off():
    async with Running(metrics={"enabled": False}) as running:
        assert (await running.ask()).status == 200
        reply = await admin(running, "/metrics")
    assert (reply.status, reply.body) == (404, b"metrics are off: metrics.enabled is false\n")


async def test_probes():
    async with Running() as running:
        assert (await admin(running, "/healthz")).json() == {"status": "ok"}
        assert (await admin(running, "/readyz")).json() == {"status": "ready"}
    assert (await admin(running, "/readyz")).status == 503
    assert (await admin(running, "/healthz", method="POST")).status == 405


async def test_status():
    pods = [info(2, adapters=("sql",)), info(1, excluded="no_address", address=None), info(3, config=INVALID)]
    async with Running(pods=pods, models={"m": {"aliases": ["gpt-4o"]}, "empty": {}}) as running:
        running.registry.serving("m")[0].in_flight = 3
        status = (await admin(running, "/status.json")).json()
        running.registry.serving("m")[0].in_flight = 0
    assert (status["version"], status["ready"], status["status"]) == (__version__, True, "ready")
    empty = status["models"]["empty"]
    assert (empty["names"], empty["ready_pods"], empty["pods"], empty["limit"]) == ([], 0, [], None)
    model = status["models"]["m"]
    assert model["names"] == ["gpt-4o", "m", "sql"]
    assert model["ready_pods"] == 2
    assert [pod["name"] for pod in model["pods"]] == ["pod-1", "pod-2", "pod-3"]
    engine = ("running", "waiting", "kv_cache_usage", "first_token", "output_token", "role")
    unknown = dict.fromkeys(engine) | {"ejected": False}
    assert model["pods"][:2] == [
        unknown
        | {
            "name": "pod-1",
            "namespace": "ns",
            "uid": "uid-1",
            "address": None,
            "ready": False,
            "excluded": "no_address",
            "flapping": False,
            "in_flight": 0,
        },
        unknown
        | {
            "name": "pod-2",
            "namespace": "ns",
            "uid": "uid-2",
            "address": "10.0.0.2:8000",
            "ready": True,
            "excluded": None,
            "flapping": False,
            "in_flight": 3,
        },
    ]
    (fault,) = status["faults"]
    assert "ns/pod-3" in fault["path"]
    assert fault["reason"]


async def test_strategies_that_do_not_exist_are_seen_before_a_request_needs_one(log):
    annotation = json.dumps({"profiles": {"default": {}, "fast": {"routingStrategy": "fastest"}}})
    config = {"lockedRoutingStrategy": "best", "profiles": {"default": {"routingStrategy": "mine"}}}
    pods = [info(1, model="annotated", config=annotation), info(2)]
    async with Running(pods=pods, config=config, strategies={"mine": Random}) as running:
        faults = (await admin(running, "/status.json")).json()["faults"]
        assert (await running.ask()).status == 400
        assert (await running.ask(b'{"model": "annotated"}')).status == 200
    assert {fault["path"]: fault["reason"] for fault in faults} == {
        "models.m.config $.lockedRoutingStrategy": "incorrect routing strategy best: best does not exist",
        "pod ns/pod-1, model annotated: annotation model.aibrix.ai/config $.profiles.fast.routingStrategy": (
            "incorrect routing strategy fastest: fastest does not exist"
        ),
    }
    assert {f"{fault['path']}: {fault['reason']}" for fault in faults} <= set(log())
    assert running.registry.invalid_configs == {"m": 1, "annotated": 1}


async def test_it_does_not_know_the_clients_paths():
    async with Running() as running:
        for path in ("/v1/models", "/v1/chat/completions", "/"):
            assert (await admin(running, path)).status == 404
