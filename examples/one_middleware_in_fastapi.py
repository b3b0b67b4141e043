"""Two of the middlewares in a FastAPI application that answers by itself: no gateway, no engine.

Every answer gets an x-request-id, and the endpoint learns which model a request means: bodies that name none are
refused with 400, models that nobody serves with 404, in OpenAI's shape, before the endpoint is called.
"""

from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.middleware.request_id import RequestIdMiddleware
from aibrix_mw.pods.static import StaticPods
from aibrix_mw.scope import REQUEST

pods = StaticPods({"llama": ["http://10.0.0.7:8000"]}, aliases={"gpt-4o": "llama"})

app = FastAPI()
app.add_middleware(ModelMiddleware, registry=pods.registry)
app.add_middleware(RequestIdMiddleware)  # added last, so outermost


@app.post("/v1/chat/completions")
async def chat(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    resolved = REQUEST.require(request.scope)
    return {
        "asked_for": resolved.requested_model,
        "served_by": resolved.model,
        "prompt_tokens": resolved.prompt_tokens,
        "messages": len(body["messages"]),  # the body is there to be read again
    }


@app.get("/hello")
async def hello() -> str:
    return "this path is none of the middlewares' business"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8080)
