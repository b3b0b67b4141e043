"""What the gateway answers itself on its client port."""

import pytest

from aibrix_mw.scope import OUTCOME
from tests.support import Client, Running, info

PODS = [
    info(1, "llama", created=300.7, adapters=("llama-sql",)),
    info(2, "llama", created=200.2),
    info(3, "org/model-8B", created=50.0),
    info(4, "asleep", excluded="not_ready"),
]
MODELS = {"llama": {"aliases": ["gpt-4o"]}, "empty": {}}


def card(name, created, model=None):
    base = {"id": name, "object": "model", "created": created, "owned_by": "aibrix_mw"}
    return base | ({"root": model, "parent": model} if model else {})


CARDS = [
    card("gpt-4o", 200, "llama"),
    card("llama", 200),
    card("llama-sql", 300, "llama"),
    card("org/model-8B", 50),
]


async def get(path, method="GET", **options):
    async with Running(pods=PODS, models=MODELS, **options) as running:
        client = Client(running.gateway, b"", path, method=method)
        reply = await client.ask()
        return reply, OUTCOME.get(client.scope)


async def test_models_with_ready_pods():
    reply, outcome = await get("/v1/models")
    assert reply.status == 200
    assert reply.json() == {"object": "list", "data": CARDS}
    assert reply.header("x-request-id")
    assert (outcome.name, outcome.status) == ("ok", 200)


@pytest.mark.parametrize("expected", CARDS, ids=lambda card: card["id"])
async def test_one_model(expected):
    reply, _ = await get("/v1/models/" + expected["id"])
    assert reply.json() == expected


@pytest.mark.parametrize("name", ["asleep", "empty", "nobody", "org", "LLAMA", "org/model-8B/x"])
async def test_a_model_that_nobody_serves(name):
    reply, outcome = await get("/v1/models/" + name)
    assert reply.status == 404
    assert reply.header("x-error-no-model-backends") == name.encode()
    error = {"message": f"model {name} does not exist", "type": "invalid_request_error", "code": "model_not_found"}
    assert reply.json() == {"error": error | {"param": "model"}}
    assert outcome.name == "unknown_model"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/llama", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_other_methods(path, method):
    reply, _ = await get(path, method)
    assert (reply.status, reply.header("allow")) == (405, b"GET, HEAD")
    assert reply.json()["error"]["code"] == "method_not_allowed"
    assert reply.header("x-request-id")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/llama", "/healthz", "/readyz"])
async def test_head(path):
    assert (await get(path, "HEAD"))[0].status == 200


async def test_below_a_mount_point():
    async with Running(pods=PODS) as running:
        reply = await running.ask(b"", "/llm/v1/models/org/model-8B", method="GET", root_path="/llm")
    assert reply.json()["id"] == "org/model-8B"


@pytest.mark.parametrize(
    ("state", "ready", "status"),
    [
        ({}, 200, "ready"),
        ({"draining": True}, 503, "draining"),
        ({"draining": True, "closing": True}, 503, "draining"),
        ({"running": False}, 503, "not running"),
    ],
)
async def test_probes(state, ready, status):
    async with Running() as running:
        for name, value in state.items():
            setattr(running.gateway.lifecycle, name, value)
        reply = await running.ask(b"", "/readyz", method="GET")
        assert (reply.status, reply.json()) == (ready, {"status": status})
        reply = await running.ask(b"", "/healthz", method="GET")
        assert (reply.status, reply.json()) == (200, {"status": "ok"})
        assert await running.outcomes() == {}


async def test_a_check_says_why():
    async with Running() as running:
        running.gateway.lifecycle.checks.append(lambda: "no pods seen yet")
        assert (await running.ask(b"", "/readyz", method="GET")).json() == {"status": "no pods seen yet"}
