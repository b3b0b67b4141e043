"""The admin application: metrics, probes and status, on a port that clients do not reach."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aibrix_mw import __version__
from aibrix_mw.client import BodyReader
from aibrix_mw.endpoints import probe_routes
from aibrix_mw.errors import Fault, GatewayError, error_body
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.pods.churn import Churn
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry, Served

Exposition = Callable[[str], tuple[bytes, str]]
Explain = Callable[[bytes], Awaitable[bytes]]
LONGEST_QUESTION = 67_108_864
"""Bytes, as many as a request may have by default."""


def create_admin(
    lifecycle: Lifecycle,
    registry: PodRegistry,
    faults: Callable[[], list[Fault]],
    exposition: Exposition | None,
    explain: Explain,
) -> Starlette:
    """The admin application.

    `exposition` turns an Accept header into metrics text and its content type; `explain` a question into its answer,
    both JSON, or raises GatewayError.
    """

    # coroutines, because Starlette runs plain functions in a thread, where what they read may change meanwhile
    async def metrics(request: Request) -> Response:
        if exposition is None:
            return Response("metrics are off: metrics.enabled is false\n", 404)
        text, content_type = exposition(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def status(_request: Request) -> Response:
        return JSONResponse(_status(lifecycle, registry, faults()))

    async def explanation(request: Request) -> Response:
        try:
            body = await BodyReader(request.receive, LONGEST_QUESTION).all()
            return Response(await explain(bytes(body)), media_type="application/json")
        except GatewayError as error:
            text = error_body(request.url.path, error.status, error.message, error.code, error.param)
            return Response(text, error.status, media_type="application/json")

    own = [
        Route("/metrics", metrics),
        Route("/status.json", status),
        Route("/explain", explanation, methods=["POST"]),
    ]
    return Starlette(routes=[*probe_routes(lifecycle), *own])


def _status(lifecycle: Lifecycle, registry: PodRegistry, faults: list[Fault]) -> dict[str, Any]:
    names = registry.names()
    return {
        "version": __version__,
        "ready": lifecycle.not_ready() is None,
        "status": lifecycle.not_ready() or "ready",
        "models": {
            model: _model(model, pods, names, registry.churn) for model, pods in sorted(registry.models().items())
        },
        "faults": [{"path": fault.path, "reason": fault.reason} for fault in faults],
    }


def _model(model: str, pods: tuple[Pod, ...], names: dict[str, Served], churn: Churn) -> dict[str, Any]:
    return {
        "names": sorted(name for name, served in names.items() if served.model == model),
        "ready_pods": sum(pod.info.excluded is None for pod in pods),
        "pods": [_pod(pod, churn) for pod in sorted(pods, key=lambda pod: (pod.info.namespace, pod.info.name))],
    }


def _pod(pod: Pod, churn: Churn) -> dict[str, Any]:
    info = pod.info
    return {
        "name": info.name,
        "namespace": info.namespace,
        "uid": info.uid,
        "address": info.address.netloc if info.address else None,
        "ready": info.excluded is None,
        "excluded": info.excluded,
        "flapping": churn.is_flapping(pod.uid),
        "in_flight": pod.in_flight,
    }
