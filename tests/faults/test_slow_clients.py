"""F42: clients that keep us waiting are closed in time, and nobody else notices."""

import asyncio

import pytest

from aibrix_mw.server.bounds import Bounds
from tests.faults.raw import BODY, PATIENCE, chat, gateway, status_of

TIMEOUT = 0.4
SLOW = {
    "nothing": [b""],
    "a part of a head": [chat()[:9]],
    "a head byte by byte": [bytes([byte]) for byte in chat()[:20]],
    "a head without a body": [chat()[: -len(BODY)]],
    "a part of a body": [chat()[:-1]],
}


@pytest.mark.parametrize("pieces", SLOW.values(), ids=SLOW)
async def test_f42_who_is_too_slow_is_closed(pieces):
    bounds = Bounds(header_timeout=TIMEOUT, body_timeout=TIMEOUT)
    async with gateway(bounds=bounds) as served, asyncio.timeout(PATIENCE):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        ended = asyncio.ensure_future(reader.read())
        others = 0
        for piece in pieces:
            writer.write(piece)
        while not ended.done():
            assert status_of(await served.ask(chat())) == 200
            others += 1
            await asyncio.wait((ended,), timeout=TIMEOUT / 10)
        took = loop.time() - begun
        answer = await ended
        assert TIMEOUT - 0.05 <= took <= TIMEOUT + 1
        assert others > 2
        assert status_of(answer) == 408 if pieces != [b""] else answer == b""
        assert len(served.seen) == others
        writer.close()
