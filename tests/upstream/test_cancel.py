"""F37: who lets go of an exchange, in whatever phase, leaves nothing behind, and the engine knows at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.httpx import HttpxUpstream
from tests.upstream.asking import CHUNKED, HEAD, OK, ask, fetch, read_all, turns_until, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, RawEngine, answering, in_turn, silent

SOON = 1.0  # seconds; tests/e2e/test_sockets.py holds the tenth, as the best of several


def connections(upstream: Upstream) -> int:
    """How many connections the upstream knows of."""
    if isinstance(upstream, Http1Upstream):
        return len(upstream._connections)
    assert isinstance(upstream, HttpxUpstream)
    return len(upstream._via._pool.connections)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def start(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(work)


async def gone(engine: RawEngine, upstream: Upstream, number: int = 0) -> None:
    """The engine sees the end soon, and the upstream has forgotten the connection."""
    peer = await engine.peer(number)
    await asyncio.wait_for(peer.gone.wait(), SOON)
    await asyncio.sleep(0)
    assert connections(upstream) == 0


async def test_while_connecting(upstream: Upstream, black_hole: Address):
    sending = start(upstream.send(ask(black_hole), within()))
    for _ in range(5):
        await asyncio.sleep(0)
    await cancelled(sending)
    assert connections(upstream) == 0


async def test_while_waiting_for_the_head(upstream: Upstream, run: Engines):
    engine = await run(silent)
    sending = start(upstream.send(ask(engine.address), within()))
    await (await engine.peer()).arrived.wait()
    await cancelled(sending)
    await gone(engine, upstream)


async def test_while_sending_a_large_body(upstream: Upstream, run: Engines):
    async def slow(peer: Peer) -> None:
        await peer.head()
        peer.arrived.set()
        await peer.gone.wait()

    engine = await run(slow, 8192)
    body = bytearray(20_000_000)
    sending = start(upstream.send(ask(engine.address, body), within()))
    peer = await engine.peer()
    await peer.arrived.wait()
    await cancelled(sending)
    await asyncio.wait_for(peer.until_gone(), SOON)
    await gone(engine, upstream)
    del sending
    body.clear()  # nobody holds on to it


async def test_while_the_rest_of_the_body_is_awaited(upstream: Upstream, run: Engines):
    waiting, stopped = asyncio.Event(), asyncio.Event()

    async def rest():
        yield b"begin"
        waiting.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    engine = await run(silent)
    sending = start(upstream.send(ask(engine.address, rest=rest()), within()))
    await waiting.wait()
    await cancelled(sending)
    await asyncio.wait_for(stopped.wait(), SOON)
    await gone(engine, upstream)


@pytest.mark.parametrize("begin", [CHUNKED, CHUNKED + b"3\r\nabc\r\n", HEAD + b"\r\nabc"])
async def test_while_reading(upstream: Upstream, run: Engines, begin: bytes):
    engine = await run(answering(begin))
    answer = await upstream.send(ask(engine.address), within())
    reading = start(read_all(answer))
    for _ in range(5):
        await asyncio.sleep(0)
    await cancelled(reading)
    answer.close()
    await gone(engine, upstream)


@pytest.mark.parametrize("begin", [CHUNKED, CHUNKED + b"3\r\nabc\r\n", HEAD + b"content-length: 9\r\n\r\nabc"])
async def test_closing_an_answer_that_nobody_reads(upstream: Upstream, run: Engines, begin: bytes):
    engine = await run(answering(begin))
    answer = await upstream.send(ask(engine.address), within())
    answer.close()
    answer.close()
    await gone(engine, upstream)
    with pytest.raises(UpstreamError):
        await read_all(answer)


async def test_closing_an_answer_that_somebody_reads(upstream: Upstream, run: Engines):
    """The reader is not left waiting."""
    engine = await run(answering(CHUNKED + b"3\r\nabc\r\n"))
    answer = await upstream.send(ask(engine.address), within())
    assert await answer.read() == b"abc"
    reading = start(answer.read())
    await asyncio.sleep(0)
    answer.close()
    with pytest.raises(UpstreamError):
        await asyncio.wait_for(reading, SOON)
    await gone(engine, upstream)


async def test_closing_an_answer_that_has_ended_keeps_its_connection(upstream: Upstream, run: Engines):
    engine = await run(answering(OK, OK))
    for _ in range(2):
        answer, _body = await fetch(upstream, engine)
        answer.close()
    assert len(engine.peers) == connections(upstream) == 1


async def test_the_next_request_does_not_suffer(upstream: Upstream, run: Engines):
    engine = await run(in_turn(silent, answering(OK)))
    sending = start(upstream.send(ask(engine.address), within()))
    await (await engine.peer()).arrived.wait()
    await cancelled(sending)
    assert (await fetch(upstream, engine))[1] == b"ok"


async def test_cancelled_at_any_moment(upstream: Upstream, run: Engines):
    """However many turns of the loop an exchange has had: it leaves nothing but whole connections."""
    engine = await run(answering(*[[b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 2\r\n\r\no", b"k"]] * 60))
    for turns in range(40):
        asking = start(fetch(upstream, engine))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    assert (await fetch(upstream, engine))[1] == b"ok"
    await turns_until(lambda: connections(upstream) == sum(not peer.gone.is_set() for peer in engine.peers))
    # httpcore 1.0 loses a connection when it is cancelled in the very turn in which it takes or returns one
    assert connections(upstream) <= (1 if isinstance(upstream, Http1Upstream) else 4)
