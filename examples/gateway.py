"""The whole gateway in your own Starlette application: clients below /llm, operators below /llm-admin.

Two engines to try it with:
    aibrix-mw engine --model my-model --port 9001
    aibrix-mw engine --model my-model --port 9002
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from aibrix_mw.app import create_app

ENGINES = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]

gateway = create_app({"models": {"my-model": {"endpoints": ENGINES, "aliases": ["gpt-4o"]}}})


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with gateway.running():  # until then every request gets 503
        yield


async def home(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("POST /llm/v1/chat/completions\n")


app = Starlette(
    routes=[Route("/", home), Mount("/llm", gateway), Mount("/llm-admin", gateway.admin)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8080)
