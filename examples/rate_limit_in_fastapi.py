"""The rate limit alone in a FastAPI application: so many requests of a tenant in a minute, by an own quota.

Counts are this process's; with STORE_URL=redis://127.0.0.1 (extra `redis`) those of all processes together. A request
that the application could not serve is marked, and then costs nothing.
"""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.middleware.ratelimit import Quota, RateLimitMiddleware, refund

LIMIT = 3


def quota(scope: Scope) -> Quota | None:
    """What a request takes; None where nothing limits it."""
    tenant = dict(scope["headers"]).get(b"x-tenant", b"").decode("latin-1")
    return Quota(f"tenant:{tenant}", LIMIT, per=60) if tenant else None


class CostsNothingWhenUnavailable:
    """Marks answers of 503, wherever they come from."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marking(message: Any) -> None:
            unavailable = message["type"] == "http.response.start" and message["status"] == 503
            await send(refund(message) if unavailable else message)

        await self.app(scope, receive, marking)


app = FastAPI()
app.add_middleware(CostsNothingWhenUnavailable)
app.add_middleware(RateLimitMiddleware, quota=quota, store=os.environ.get("STORE_URL"))  # added last, so outermost


@app.post("/v1/chat/completions")
async def chat(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return {"tenant": request.headers.get("x-tenant"), "messages": len(body["messages"])}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8080)
