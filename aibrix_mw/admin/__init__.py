"""The admin application: metrics, probes, status and explanations, on a port that clients do not reach."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aibrix_mw.admin.status import page
from aibrix_mw.client import BodyReader
from aibrix_mw.endpoints import probe_routes
from aibrix_mw.errors import GatewayError, error_body
from aibrix_mw.lifecycle import Lifecycle

Exposition = Callable[[str], tuple[bytes, str]]
Explain = Callable[[bytes], Awaitable[bytes]]
Read = Callable[[], Awaitable[dict[str, Any]]]
LONGEST_QUESTION = 67_108_864
"""Bytes, as many as a request may have by default."""
_PAGE_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def create_admin(lifecycle: Lifecycle, exposition: Exposition | None, status: Read, explain: Explain) -> Starlette:
    """The admin application.

    `exposition` turns an Accept header into metrics text and its content type; `status` is what the page shows;
    `explain` turns a question into its answer, both JSON, or raises GatewayError.
    """

    # coroutines, because Starlette runs plain functions in a thread, where what they read may change meanwhile
    async def metrics(request: Request) -> Response:
        if exposition is None:
            return Response("metrics are off: metrics.enabled is false\n", 404)
        text, content_type = exposition(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    async def status_page(_request: Request) -> Response:
        return Response(page(), headers=_PAGE_HEADERS)

    async def status_json(_request: Request) -> Response:
        return JSONResponse(await status(), headers={"cache-control": "no-store"})

    async def explanation(request: Request) -> Response:
        try:
            body = await BodyReader(request.receive, LONGEST_QUESTION).all()
            return Response(await explain(bytes(body)), media_type="application/json")
        except GatewayError as error:
            text = error_body(request.url.path, error.status, error.message, error.code, error.param)
            return Response(text, error.status, media_type="application/json")

    own = [
        Route("/metrics", metrics),
        Route("/status", status_page),
        Route("/status.json", status_json),
        Route("/explain", explanation, methods=["POST"]),
    ]
    return Starlette(routes=[*probe_routes(lifecycle), *own])
