"""Many exchanges at once never mix."""

import asyncio
import random

from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.upstream.asking import CHUNKED, ask, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer


async def echo(peer: Peer) -> None:
    """Answer each request with its body, in pieces, some before others."""
    while True:
        try:
            _, _, body = (await peer.request()).partition(b"\r\n\r\n")
        except ConnectionError:
            return
        rng = random.Random(body)
        await peer.send(CHUNKED)
        while body:
            size = rng.randint(1, 400)
            piece, body = body[:size], body[size:]
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece), b"")
        await peer.send(b"0\r\n\r\n")


async def test_each_gets_its_own_answer(upstream: Upstream, run: Engines):
    engine = await run(echo)

    async def exchange(number: int) -> None:
        body = b"%d-" % number * 150
        answer = await upstream.send(ask(engine.address, body), within(20))
        assert await read_all(answer) == body

    await asyncio.gather(*map(exchange, range(200)))
    await asyncio.gather(*map(exchange, range(50)))
    assert sum(map(len, engine.requests)) == 250
    if isinstance(upstream, Http1Upstream):
        assert len(engine.peers) <= 200
