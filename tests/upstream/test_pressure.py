"""Back-pressure in both directions: what one side does not take, the other side does not pile up."""

import asyncio
import tracemalloc

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.upstream.base import Upstream
from tests.upstream.asking import HEAD, OK, ask, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, answering

MIB = 1 << 20


async def settled(peer: Peer) -> int:
    """How many bytes the engine has got rid of when it can send no more."""
    loop = asyncio.get_running_loop()
    while True:
        sent = peer.sent
        pause = loop.create_future()
        loop.call_later(0.03, pause.set_result, None)
        await pause
        if peer.sent == sent > 0:
            return sent


async def test_an_engine_waits_for_a_slow_reader(upstream: Upstream, run: Engines):
    """F40."""
    size = 32 * MIB

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"content-length: %d\r\n\r\n" % size)
        peer.sent = 0
        await peer.flood(size)
        await peer.until_gone()

    engine = await run(script)
    answer = await upstream.send(ask(engine.address), within())
    stuck_at = await settled(engine.peers[0])
    assert stuck_at < 12 * MIB  # what the kernel takes, and a little
    first = await answer.read()
    assert len(first) < MIB
    assert len(await read_all(answer)) == size - len(first)
    assert answer.ended


async def test_twenty_stalled_readers_take_no_memory(upstream: Upstream, run: Engines):
    """F40: RSS grows by what the kernel holds; ours stays small."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"\r\n")
        await peer.flood(64 * MIB)

    engine = await run(script)
    await fetch(upstream, await run(answering(OK)))
    tracemalloc.start()
    answers = [await upstream.send(ask(engine.address), within()) for _ in range(20)]
    await asyncio.gather(*map(settled, engine.peers))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 16 * MIB
    for answer in answers:
        answer.close()


async def test_a_body_waits_for_a_slow_engine(upstream: Upstream, run: Engines):
    yielded = 0

    async def rest():
        nonlocal yielded
        for _ in range(512):
            yielded += 65536
            yield bytes(65536)

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.sent = 1
        await settled(peer)
        peer.requests.append(b"%d" % yielded)
        await peer.discard(512 * 65536)
        await peer.send(OK)
        await peer.until_gone()

    engine = await run(script)
    assert (await fetch(upstream, engine, body=b"", rest=rest(), length=512 * 65536))[1] == b"ok"
    assert int(engine.requests[0][0]) < 12 * MIB
    assert yielded == 32 * MIB


async def test_a_body_of_64_mib_is_not_copied(upstream: Upstream, run: Engines):
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.discard(64 * MIB)
        await peer.send(OK)
        await peer.until_gone()

    engine = await run(script)
    body = bytes(64 * MIB)
    tracemalloc.start()
    assert (await fetch(upstream, engine, body=body))[1] == b"ok"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


REFUSAL = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"


async def test_an_answer_before_the_body_has_come(http1: Upstream, run: Engines):
    """The engine reads no further, and waits until we close."""
    going_on = asyncio.Event()

    async def rest():
        try:
            yield bytes(10)
            await asyncio.get_running_loop().create_future()
        finally:
            going_on.set()

    engine = await run(early)
    answer, body = await fetch(http1, engine, rest=rest(), length=1000)
    assert (answer.status, body) == (413, b"no")
    assert going_on.is_set()
    await engine.peers[0].gone.wait()


async def early(peer: Peer) -> None:
    """Refuse after the head."""
    await peer.head()
    await peer.send(REFUSAL)
    await peer.until_gone()


@pytest.mark.parametrize("keep", [False, True])
async def test_an_answer_while_the_body_is_stuck(http1: Upstream, run: Engines, keep: bool):
    async def deaf(peer: Peer) -> None:
        await peer.head()
        peer.stop_reading()
        await peer.send(REFUSAL.replace(b"connection: close\r\n", b"") if keep else REFUSAL)
        await peer.arrived.wait()
        await peer.until_gone()

    engine = await run(deaf, 8192)
    answer, body = await fetch(http1, engine, body=bytes(20 * MIB))
    assert (answer.status, body) == (413, b"no")
    await asyncio.sleep(0)
    assert not http1._connections  # type: ignore[attr-defined]


async def test_an_engine_that_refuses_and_hangs_up(upstream: Upstream, run: Engines):
    """Its answer may get lost with the connection, but nothing hangs."""

    async def rude(peer: Peer) -> None:
        await peer.head()
        await peer.send(REFUSAL)
        peer.close()

    engine = await run(rude)
    [outcome] = await asyncio.gather(fetch(upstream, engine, body=bytes(20 * MIB)), return_exceptions=True)
    if isinstance(outcome, UpstreamError):
        assert outcome.reason == "reset"
    else:
        assert (outcome[0].status, outcome[1]) == (413, b"no")  # type: ignore[index]
