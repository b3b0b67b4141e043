"""Requests and connections leave nothing for Python's collector of cycles: it may search as rarely as it likes."""

import asyncio
import gc
from contextlib import suppress

import pytest

from tests.faults.raw import BODY, PATIENCE, always_ok, chat, gateway
from tests.support import until

EVENT = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n6\r\ndata:\n\r\n"
STREAM = '{"model": "m", "stream": true}'


async def one_event(peer):
    """Begin a stream, and hold it until the gateway lets go."""
    await peer.request()
    await peer.send(EVENT)
    await peer.until_gone()


async def cut(peer):
    """Break a stream off."""
    await peer.request()
    await peer.send(EVENT)


async def silent(peer):
    """Answer nothing."""
    await peer.request()
    await peer.until_gone()


async def reset(peer):
    """Break off before there is an answer."""
    await peer.request()
    peer.reset()


async def busy(peer):
    """Refuse."""
    await peer.request()
    await peer.send(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
    await peer.until_gone()


CASES = {
    "reset": (reset, chat()),
    "refused by the engine": (busy, chat()),
    "whole": (always_ok, chat()),
    "two on one connection": (always_ok, chat() * 2),
    "no such model": (always_ok, chat(body='{"model": "x"}')),
    "malformed": (always_ok, b"what?\r\n\r\n"),
    "a part of a head": (always_ok, chat()[:20]),
    "a part of a body": (always_ok, chat()[: -len(BODY)]),
    "stream that the client leaves": (one_event, chat(body=STREAM)),
    "stream that the engine breaks off": (cut, chat(body=STREAM)),
    "no first byte": (silent, chat()),
}


async def once(served, raw):
    """One client that reads for a moment, and leaves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(raw)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read()
    writer.transport.abort()


def ours(found):
    """What is of the gateway's making, or of the library's that it parses with."""
    return [thing for thing in found if type(thing).__module__.partition(".")[0] in {"aibrix_mw", "httptools"}]


@pytest.fixture
def collector():
    """Searches when it is told to; what it finds is kept until then."""
    gc.disable()
    yield gc
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize(("script", "raw"), CASES.values(), ids=CASES)
async def test_nothing_is_left(script, raw, collector):
    async with gateway(script, upstream={"keepalive": 0.01}) as served, asyncio.timeout(PATIENCE):
        collector.collect()
        await once(served, raw)
        await until(lambda: not served.gateway.upstream.plain._connections)
        await asyncio.sleep(0.01)
        collector.set_debug(gc.DEBUG_SAVEALL)
        collector.collect()
        assert ours(collector.garbage) == []
