"""Each middleware alone: what is not its business passes untouched, and what it misses has a name."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from aibrix_mw.keys import KeyRing
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.middleware.access_log import AccessLogMiddleware
from aibrix_mw.middleware.auth import AllowanceMiddleware, AuthMiddleware
from aibrix_mw.middleware.gate import GateMiddleware
from aibrix_mw.middleware.keepalive import KeepaliveMiddleware
from aibrix_mw.middleware.metrics import MetricsMiddleware
from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.middleware.plan import PlanMiddleware
from aibrix_mw.middleware.profile import ProfileMiddleware
from aibrix_mw.middleware.request_id import RequestIdMiddleware
from aibrix_mw.middleware.routing import RoutingMiddleware
from aibrix_mw.middleware.spans import AttemptSpanMiddleware, RouteSpanMiddleware
from aibrix_mw.middleware.tracing import TracingMiddleware
from aibrix_mw.middleware.userlimit import UserLimitMiddleware
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.scope import PROFILE, REQUEST, TARGET
from aibrix_mw.shared.users import Users
from aibrix_mw.telemetry.metrics import GatewayMetrics
from tests.support import BODY, CHAT, ask, ask_for, info, registry_of

REGISTRY = registry_of(info(1))
INFERENCE = {
    "model": (ModelMiddleware, {"registry": REGISTRY}),
    "profile": (ProfileMiddleware, {"registry": REGISTRY}),
    "plan": (PlanMiddleware, {"registry": REGISTRY}),
    "userlimit": (UserLimitMiddleware, {"users": Users({})}),
    "routing": (RoutingMiddleware, {"registry": REGISTRY}),
    "keepalive": (KeepaliveMiddleware, {"interval": 1.0}),
}


def running():
    state = Lifecycle()
    state.running = True
    return state


EVERY = INFERENCE | {
    "request_id": (RequestIdMiddleware, {}),
    "access_log": (AccessLogMiddleware, {}),
    "tracing": (TracingMiddleware, {}),
    "route_span": (RouteSpanMiddleware, {"registry": REGISTRY}),
    "attempt_span": (AttemptSpanMiddleware, {}),
    "metrics": (MetricsMiddleware, {"metrics": GatewayMetrics(PodRegistry())}),
    "auth": (AuthMiddleware, {"keys": KeyRing()}),
    "allowance": (AllowanceMiddleware, {"registry": REGISTRY}),
    "gate": (GateMiddleware, {"lifecycle": running()}),
}


async def hello(request):
    return PlainTextResponse(f"{request.method} {(await request.body()).decode()}")


async def socket(websocket):
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


@pytest.fixture(params=EVERY)
def host(request):
    """A host application with one middleware."""
    kind, options = EVERY[request.param]
    app = Starlette(
        routes=[
            Route("/hello", hello, methods=["GET", "POST"]),
            Route(CHAT, hello, methods=["GET"]),
            WebSocketRoute("/ws", socket),
        ]
    )
    app.add_middleware(kind, **options)
    return app


def test_other_paths_methods_and_types_pass_untouched(host):
    with TestClient(host) as client:
        assert client.get("/hello").text == "GET "
        assert client.post("/hello", content="not json").text == "POST not json"
        assert client.get(CHAT).text == "GET "
        assert client.get("/nowhere").status_code == 404
        with client.websocket_connect("/ws") as websocket:
            assert websocket.receive_text() == "hello"


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inner"})


@pytest.mark.parametrize(
    ("name", "missing"),
    [(name, "ModelMiddleware") for name in ("profile", "plan", "userlimit", "routing")],
)
async def test_without_the_model_middleware(name, missing):
    kind, options = INFERENCE[name]
    with pytest.raises(LookupError, match=missing):
        await ask(kind(inner, **options))


@pytest.mark.parametrize(
    ("name", "filled", "missing"),
    [("plan", {REQUEST: ask_for()}, "ProfileMiddleware"), ("routing", {REQUEST: ask_for()}, "PlanMiddleware")],
)
async def test_without_the_one_before(name, filled, missing):
    kind, options = INFERENCE[name]
    with pytest.raises(LookupError, match=missing):
        await ask(kind(inner, **options), **{slot.key: value for slot, value in filled.items()})


async def test_an_unknown_model_passes_the_whole_stack_untouched():
    app = inner
    for name in reversed(INFERENCE):
        kind, options = INFERENCE[name]
        app = kind(app, **options, **({"unknown": "pass"} if name == "model" else {}))
    reply = await ask(app, b'{"model": "nobody"}')
    assert reply.body == b"inner"
    assert reply.header("x-aibrix-config-profile") is None


@pytest.mark.parametrize("name", INFERENCE)
async def test_paths_of_ones_own(name):
    kind, options = INFERENCE[name]
    app = kind(inner, paths=["/mine"], **options)
    assert (await ask(app)).body == b"inner"
    if name == "model":
        assert (await ask(app, b"{}", "/mine")).status == 400
    else:
        with pytest.raises(LookupError):
            await ask(app, path="/mine")


async def test_the_stack_by_hand():
    """Model, profile, plan and routing around an own application: it finds its target in the scope."""

    async def own(scope, receive, send):
        assert PROFILE.require(scope).name == "default"
        await PlainTextResponse(TARGET.require(scope).pod.info.name)(scope, receive, send)

    app = own
    for name in reversed(INFERENCE):
        kind, options = INFERENCE[name]
        app = kind(app, **options)
    reply = await ask(app, BODY)
    assert reply.body == b"pod-1"
    assert reply.header("target-pod") == b"pod-1"
    assert reply.header("x-aibrix-config-profile") == b"default"


async def test_the_scope_is_written_in_place():
    """What a host's router writes into the scope stays visible outside."""
    seen = []

    class Outside:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            seen.append(scope.get("endpoint"))

    app = Starlette(routes=[Route(CHAT, hello, methods=["POST"])])
    kind, options = INFERENCE["model"]
    reply = await ask(Outside(kind(RequestIdMiddleware(app), **options)))
    assert reply.status == 200
    assert seen == [hello]
