"""Serve an application for the length of a block, under a real server that is not ours."""

import asyncio
import socket
from contextlib import asynccontextmanager

import uvicorn


@asynccontextmanager
async def listening(app, **options):
    """Serve an application with uvicorn on a free port of 127.0.0.1; gives its URL."""
    quiet = {"log_config": None, "log_level": "critical", "server_header": False}
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, **quiet | {"lifespan": "on"} | options))
        serving = asyncio.create_task(server.serve([sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
