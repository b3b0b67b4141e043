"""Both upstreams, both event loops, and engines that do what a script says."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from ssl import SSLContext

import httpx
import pytest
import uvloop

from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.httpx import HttpxUpstream
from tests.upstream.raw_engine import RawEngine, Script

Engines = Callable[..., Awaitable[RawEngine]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test runs on asyncio's own loop and on the one that serves."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def run() -> AsyncIterator[Engines]:
    """Start an engine that runs a script per connection."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, buffer_bytes: int | None = None, tls: SSLContext | None = None) -> RawEngine:
            return await stack.enter_async_context(RawEngine(script, buffer_bytes, tls))

        yield start


@pytest.fixture
async def http1() -> AsyncIterator[Http1Upstream]:
    """The client of the hot path; nothing of it is left at the end."""
    upstream = Http1Upstream()
    yield upstream
    await upstream.aclose()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not upstream._connections


@pytest.fixture(params=["http1", "httpx"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    """Each upstream in turn."""
    kinds: dict[str, Callable[[], Upstream]] = {
        "http1": Http1Upstream,
        "httpx": lambda: HttpxUpstream(httpx.AsyncHTTPTransport(verify=False)),
    }
    upstream = kinds[request.param]()
    yield upstream
    await upstream.aclose()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.fixture
def black_hole() -> Iterator[Address]:
    """An address whose queue of connections is full: a further one gets no answer."""
    with socket.socket() as listener, socket.socket() as one, socket.socket() as two, socket.socket() as three:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (one, two, three):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Address("127.0.0.1", listener.getsockname()[1])
