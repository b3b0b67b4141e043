"""What the gateway answers itself on its client port: probes and the list of models."""

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import MethodNotAllowed, UnknownModel
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.registry import PodRegistry, Served
from aibrix_mw.scope import KEY, OUTCOME, refuse

MODELS = "/v1/models"
_READING = frozenset({"GET", "HEAD"})


def endpoints(lifecycle: Lifecycle, registry: PodRegistry, otherwise: ASGIApp) -> ASGIApp:
    """The gateway's own endpoints; every other path goes to `otherwise`."""
    models = ModelList(registry)
    own = [*probe_routes(lifecycle), Route(MODELS, models), Route(MODELS + "/{name:path}", models)]
    return Router(own, redirect_slashes=False, default=otherwise)


def probe_routes(lifecycle: Lifecycle) -> list[Route]:
    """`/healthz` answers as long as the process does, `/readyz` says whether to send requests here.

    Probes have no outcome: they are no requests to count.
    """

    def readyz() -> Response:
        reason = lifecycle.not_ready()
        return JSONResponse({"status": reason or "ready"}, 200 if reason is None else 503)

    return [Route("/healthz", Probe(lambda: JSONResponse({"status": "ok"}))), Route("/readyz", Probe(readyz))]


class Probe:
    """One probe; an ASGI application."""

    def __init__(self, answer: Callable[[], Response]) -> None:
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD."""
        if scope["method"] in _READING:
            await self.answer()(scope, receive, send)
        else:
            await MethodNotAllowed("a probe takes GET", "GET, HEAD").respond(scope, receive, send)


class ModelList:
    """`GET /v1/models` and `GET /v1/models/{name}`, in OpenAI's shape: what is ready, and the client's key opens."""

    def __init__(self, registry: PodRegistry) -> None:
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for one model or all; an ASGI application."""
        names = self._names(scope)
        wanted = scope["path_params"].get("name")
        if scope["method"] not in _READING:
            await refuse(MethodNotAllowed("the list of models takes GET", "GET, HEAD"), scope, receive, send)
        elif wanted is not None and wanted not in names:
            await refuse(UnknownModel(wanted), scope, receive, send)
        else:
            OUTCOME.put(scope, Outcome(name="ok", status=200))
            cards = [_card(name, served) for name, served in sorted(names.items()) if wanted in {None, name}]
            content = {"object": "list", "data": cards} if wanted is None else cards[0]
            await JSONResponse(content)(scope, receive, send)

    def _names(self, scope: Scope) -> dict[str, Served]:
        names, key = self.registry.names(), KEY.get(scope)
        if key is None:
            return names
        return {
            name: served
            for name, served in names.items()
            if key.opens_model(name, served.model if served.alias else None)
        }


def _card(name: str, served: Served) -> dict[str, Any]:
    """One model; `root` and `parent` where the name is an adapter or an alias."""
    created = int(min(pod.info.created for pod in served.pods))
    card = {"id": name, "object": "model", "created": created, "owned_by": "aibrix_mw"}
    return card if name == served.model else card | {"root": served.model, "parent": served.model}
