"""Many exchanges at once never mix."""

import asyncio
import random

from aibrix_mw.upstream.base import Upstream
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
            size = rng.randint(1, 200)
            piece, body = body[:size], body[size:]
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece), b"")
        await peer.send(b"0\r\n\r\n")


async def test_each_gets_its_own_answer(upstream: Upstream, run: Engines):
    engine = await run(echo)

    async def exchange(number: int) -> None:
        body = b"%d-" % number * 150
        answer = await upstream.send(ask(engine.address, body), within(20))
        assert await read_all(answer) == body

    for _ in range(2):
        await asyncio.gather(*map(exchange, range(200)))
    assert sum(map(len, engine.requests)) == 400
    assert len(engine.peers) <= 200
