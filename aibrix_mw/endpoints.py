"""What the gateway answers itself on its client port: health and the list of models."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import MethodNotAllowed, UnknownModel
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.outcome import Outcome
from aibrix_mw.paths import route_path
from aibrix_mw.pods.registry import PodRegistry, Served
from aibrix_mw.scope import OUTCOME, refuse

MODELS_PATH = "/v1/models"


def health(lifecycle: Lifecycle) -> dict[str, Callable[[], Response]]:
    """The probes: `/healthz` answers as long as the process does, `/readyz` says whether to send requests here."""

    def readyz() -> Response:
        reason = lifecycle.not_ready()
        return JSONResponse({"status": reason or "ready"}, 200 if reason is None else 503)

    return {"/healthz": lambda: JSONResponse({"status": "ok"}), "/readyz": readyz}


class ProbeMiddleware:
    """Answers `GET /healthz` and `GET /readyz`, whatever the gateway is doing; neither counts as a request."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle) -> None:
        self.app = app
        self.probes = health(lifecycle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or pass the request on."""
        probe = self.probes.get(route_path(scope)) if scope["type"] == "http" else None
        if probe is None:
            await self.app(scope, receive, send)
        elif scope["method"] in {"GET", "HEAD"}:
            await probe()(scope, receive, send)
        else:
            await refuse(MethodNotAllowed(f"{route_path(scope)} takes GET", "GET, HEAD"), scope, receive, send)


class ModelListMiddleware:
    """Answers `GET /v1/models` and `GET /v1/models/{id}` from the registry, in OpenAI's shape."""

    def __init__(self, app: ASGIApp, *, registry: PodRegistry) -> None:
        self.app = app
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the list or one model, or pass the request on."""
        path = route_path(scope) if scope["type"] == "http" else ""
        if path != MODELS_PATH and not path.startswith(MODELS_PATH + "/"):
            await self.app(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await refuse(MethodNotAllowed(f"{path} takes GET", "GET, HEAD"), scope, receive, send)
        else:
            await self._answer(path)(scope, receive, send)

    def _answer(self, path: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        names = self.registry.names()
        wanted = path[len(MODELS_PATH) + 1 :]
        if not wanted:
            return _ok({"object": "list", "data": [_card(name, served) for name, served in sorted(names.items())]})
        if wanted in names:
            return _ok(_card(wanted, names[wanted]))
        error = UnknownModel(wanted)

        async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
            await refuse(error, scope, receive, send)

        return unknown


def _ok(content: dict[str, Any]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    response = JSONResponse(content)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        OUTCOME.put(scope, Outcome(name="ok", status=200))
        await response(scope, receive, send)

    return respond


def _card(name: str, served: Served) -> dict[str, Any]:
    created = int(min(pod.info.created for pod in served.pods))
    card = {"id": name, "object": "model", "created": created, "owned_by": "aibrix_mw"}
    return card if name == served.model else card | {"root": served.model, "parent": served.model}
