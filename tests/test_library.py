"""The library interface, as the documentation writes it: in FastAPI and in Starlette, alone and mounted."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from aibrix_mw.app import create_app
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.pods.static import StaticPods
from aibrix_mw.scope import REQUEST
from aibrix_mw.settings import load
from aibrix_mw.strategies.least_request import LeastRequest
from tests.serving import listening
from tests.support import BODY, CHAT, FakeAnswer, FakeUpstream, ask, in_turn, info


class Mine(LeastRequest):
    """A strategy of the host's own."""


class Audit:
    """A middleware of the host's own."""

    seen: list[str]

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        Audit.seen = [*getattr(Audit, "seen", []), scope["path"]]
        await self.app(scope, receive, send)


# --- one middleware


def static_pods():
    return StaticPods({"llama": ["http://10.0.0.7:8000"]}, aliases={"gpt-4o": "llama"})


def described(request, body):
    resolved = REQUEST.require(request.scope)
    return {"model": resolved.model, "asked": resolved.requested_model, "body": body}


def fastapi_host():
    app = FastAPI()
    app.add_middleware(ModelMiddleware, registry=static_pods().registry)

    @app.post(CHAT)
    async def chat(request: Request, body: dict[str, Any]):
        return described(request, body)

    @app.post("/other")
    async def other(body: dict[str, Any]):
        return body

    return app


def starlette_host():
    async def chat(request):
        return JSONResponse(described(request, await request.json()))

    async def other(request):
        return JSONResponse(await request.json())

    app = Starlette(routes=[Route(CHAT, chat, methods=["POST"]), Route("/other", other, methods=["POST"])])
    app.add_middleware(ModelMiddleware, registry=static_pods().registry)
    return app


@pytest.mark.parametrize("host", [fastapi_host, starlette_host])
def test_the_model_middleware_in_a_host(host):
    with TestClient(host()) as client:
        body = {"model": "gpt-4o", "messages": []}
        assert client.post(CHAT, json=body).json() == {"model": "llama", "asked": "gpt-4o", "body": body}
        assert client.post(CHAT, json={"model": "x"}).status_code == 404
        assert client.post(CHAT, content=b"{").headers["x-error-request-body-processing"] == "true"
        assert client.post("/other", json={"model": "x"}).json() == {"model": "x"}


# --- the whole gateway, mounted


def mounted(host, script=None, **options):
    """A host with the gateway below /llm, running as long as the host does."""
    gateway = create_app({"models": {"m": {}}}, **options)
    gateway.upstream.plain = FakeUpstream(script)
    gateway.registry.put("test", info(1))

    @asynccontextmanager
    async def lifespan(_app):
        async with gateway.running():
            yield

    app = host(lifespan=lifespan)
    app.mount("/llm", gateway)
    app.mount("/llm-admin", gateway.admin)
    return app, gateway


HOSTS = pytest.mark.parametrize("host", [FastAPI, Starlette])


@HOSTS
def test_mounted_under_a_prefix(host):
    app, gateway = mounted(host)
    with TestClient(app) as client:
        answer = client.post("/llm" + CHAT + "?a=1", content=BODY)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert answer.headers["target-pod"] == "pod-1"
        assert gateway.upstream.plain.requests[0].target == CHAT.encode() + b"?a=1"
        assert client.get("/llm/v1/models/m").json()["id"] == "m"
        assert client.get("/llm/readyz").json() == {"status": "ready"}
        assert client.get("/llm-admin/readyz").json() == {"status": "ready"}
        assert client.get("/llm-admin/status.json").json()["models"]["m"]["ready_pods"] == 1
        assert "aibrix_gateway_requests_total" in client.get("/llm-admin/metrics").text
    assert not gateway.lifecycle.running


@HOSTS
def test_refusals_of_a_mounted_gateway_are_its_own(host):
    app, _ = mounted(host)
    with TestClient(app) as client:
        for method, path, status in [
            ("POST", "/llm/nowhere", 404),
            ("GET", "/llm" + CHAT, 405),
            ("POST", "/llm/healthz", 405),
            ("POST", "/llm/v1/models", 405),
            ("GET", "/llm/v1/models/nobody", 404),
            ("POST", CHAT, 404),
        ]:
            answer = client.request(method, path, content=BODY)
            assert answer.status_code == status
            assert ("x-request-id" in answer.headers) == path.startswith("/llm")
        anthropic = client.post("/llm/v1/messages", content=b"{}")
        assert anthropic.json()["type"] == "error"


@HOSTS
def test_a_request_before_running(host, log):
    app, _ = mounted(host)
    client = TestClient(app)  # no lifespan
    assert [client.post("/llm" + CHAT, content=BODY).status_code for _ in range(2)] == [503, 503]
    assert len([line for line in log() if "Gateway.running()" in line]) == 1


def test_mounted_twice():
    one, first = mounted(Starlette)
    _, second = mounted(Starlette)
    one.router.routes.append(Mount("/other", second))
    with TestClient(one) as client:
        assert client.post("/llm" + CHAT, content=BODY).status_code == 200
        assert client.post("/other" + CHAT, content=BODY).status_code == 503
    assert (len(first.upstream.plain.requests), len(second.upstream.plain.requests)) == (1, 0)


async def test_as_written(tmp_path):
    """`create_app(load("settings.yaml"), outer=[Audit], strategies={"mine": "pkg.mine:Mine"})`."""
    file = tmp_path / "settings.yaml"
    file.write_text("models: {m: {endpoints: ['http://10.0.0.1:8000']}}\nrouting: {default_strategy: mine}\n")
    gateway = create_app(load(file), outer=[Audit], strategies={"mine": f"{__name__}:Mine"})
    gateway.upstream.plain = FakeUpstream()
    Audit.seen = []
    async with gateway.running():
        reply = await ask(gateway)
    assert (reply.status, reply.header("routing-strategy")) == (200, b"mine")
    assert Audit.seen == [CHAT]


# --- under a real server that is not ours


async def test_standalone_its_own_lifespan_enters_running():
    gateway = create_app({"models": {"m": {}}})
    gateway.upstream.plain = FakeUpstream()
    gateway.registry.put("test", info(1))
    async with listening(gateway) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(CHAT, content=BODY)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert (await client.get("/readyz")).status_code == 200
    assert not gateway.lifecycle.running


@HOSTS
async def test_a_client_that_leaves_a_plain_server(host):
    stalled = FakeAnswer(asyncio.Event())
    app, gateway = mounted(host, in_turn(stalled, FakeAnswer(b"{}")))
    async with listening(app) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            asking = asyncio.create_task(client.post("/llm" + CHAT, content=BODY))
            await stalled.reading.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(stalled.gone.wait(), 1)
        assert [pod.in_flight for pod in gateway.registry.serving("m")] == [0]
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post("/llm" + CHAT, content=BODY)).status_code == 200
