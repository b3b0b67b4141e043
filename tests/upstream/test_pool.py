"""Connections of http1 that live on, and how it notices that they do not."""

import asyncio

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.connection import Connection
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.upstream.asking import HEAD, OK, ask, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, RawEngine, answering, in_turn, silent


def idle(upstream: Http1Upstream, engine: RawEngine) -> list[Connection]:
    return upstream._idle.get(engine.address, [])


async def several(upstream: Http1Upstream, engine: RawEngine, count: int) -> None:
    """Leave that many idle connections."""
    answers = [await upstream.send(ask(engine.address, reuse=False), within()) for _ in range(count)]
    for answer in answers:
        await read_all(answer)


async def test_a_connection_is_used_again(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, OK, OK))
    for _ in range(3):
        assert (await fetch(http1, engine))[1] == b"ok"
    assert [len(requests) for requests in engine.requests] == [3]


async def test_addresses_do_not_mix(http1: Http1Upstream, run: Engines):
    engines = [await run(answering(OK, OK)) for _ in range(2)]
    for engine in (*engines, *engines):
        await fetch(http1, engine)
    assert [[len(r) for r in engine.requests] for engine in engines] == [[2], [2]]


async def test_the_connection_used_last_comes_first(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, OK))
    await several(http1, engine, 3)
    first, *_, last = idle(http1, engine)
    assert http1._take(engine.address) is last
    http1.keep(last)
    assert idle(http1, engine)[0] is first


async def test_a_request_without_reuse_has_a_connection_of_its_own(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, OK))
    await fetch(http1, engine)
    await fetch(http1, engine, reuse=False)
    assert [len(requests) for requests in engine.requests] == [1, 1]


async def test_a_body_that_cannot_be_sent_twice_has_a_connection_of_its_own(http1: Http1Upstream, run: Engines):
    async def rest():
        yield b"rest"

    engine = await run(answering(OK, then_close=True))
    await fetch(http1, engine)
    await fetch(http1, engine, rest=rest())
    assert engine.requests[1][0].endswith(b"4\r\nrest\r\n0\r\n\r\n")


async def test_a_connection_idle_too_long_is_not_used(run: Engines):
    upstream = Http1Upstream(keepalive=0.0)
    engine = await run(answering(OK, OK))
    for number in range(2):
        await fetch(upstream, engine)
        assert len(engine.peers) == number + 1
    await engine.peers[0].gone.wait()
    await upstream.aclose()


async def test_the_sweeper_closes_what_has_idled_too_long(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK))
    await several(http1, engine, 2)
    old, young = idle(http1, engine)
    old.idle_since -= http1.keepalive
    http1._sweep()
    await engine.peers[0].gone.wait()
    assert (idle(http1, engine), http1._sweeper is not None) == ([young], True)
    young.idle_since -= http1.keepalive
    http1._sweep()
    await engine.peers[1].gone.wait()
    assert (http1._idle, http1._sweeper) == ({}, None)


async def test_the_sweeper_runs_by_itself(run: Engines):
    upstream = Http1Upstream(keepalive=0.02)
    engine = await run(answering(OK))
    await fetch(upstream, engine)
    await asyncio.wait_for(engine.peers[0].gone.wait(), 1)
    await upstream.aclose()


async def test_a_connection_closed_while_idle_is_replaced_unseen(http1: Http1Upstream, run: Engines):
    """The engine closes in the moment in which the next request is written."""
    engine = await run(answering(OK, then_close=True))
    for number in range(3):
        answer = await http1.send(ask(engine.address), within())
        assert await answer.read() == b"ok"
        assert len(idle(http1, engine)) == 1
        assert len(engine.peers) == number + 1
    assert [len(requests) for requests in engine.requests] == [1, 1, 1]


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_a_request_on_a_connection_that_dies_is_sent_once_more(http1: Http1Upstream, run: Engines, size: int):
    async def dies(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.head()
        peer.reset()

    engine = await run(in_turn(dies, answering(OK)))
    await fetch(http1, engine)
    assert (await fetch(http1, engine, body=bytes(size)))[1] == b"ok"
    assert len(engine.requests[1]) == 1


async def test_it_is_not_sent_a_third_time(http1: Http1Upstream, run: Engines):
    async def dies(peer: Peer) -> None:
        await peer.request()
        peer.close()

    engine = await run(in_turn(answering(OK, b""), dies))
    await fetch(http1, engine)
    sending = asyncio.create_task(fetch(http1, engine))
    await engine.peers[0].arrived.wait()
    engine.peers[0].close()
    with pytest.raises(UpstreamError) as caught:
        await sending
    assert (caught.value.reason, len(engine.peers)) == ("reset", 2)


async def test_after_a_byte_of_an_answer_it_is_not_sent_again(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, b"H", then_close=True))
    await fetch(http1, engine)
    with pytest.raises(UpstreamError) as caught:
        await fetch(http1, engine)
    assert (caught.value.reason, len(engine.peers)) == ("reset", 1)


@pytest.mark.parametrize("header", [b"connection: close\r\n", b"Connection: Keep-Alive, Close\r\n"])
async def test_an_engine_that_wants_to_close_is_not_asked_again(http1: Http1Upstream, run: Engines, header: bytes):
    engine = await run(answering(HEAD + header + b"content-length: 2\r\n\r\nok"))
    await fetch(http1, engine)
    assert idle(http1, engine) == []
    await engine.peers[0].gone.wait()


async def test_an_http_1_0_answer_may_keep_its_connection(http1: Http1Upstream, run: Engines):
    engine = await run(answering(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", OK))
    for _ in range(2):
        assert (await fetch(http1, engine))[1] == b"ok"
    assert len(engine.peers) == 1


async def test_bytes_that_nobody_asked_for_end_an_idle_connection(http1: Http1Upstream, run: Engines):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.arrived.wait()
        await peer.send(OK)
        await peer.until_gone()

    engine = await run(script)
    await fetch(http1, engine)
    engine.peers[0].arrived.set()
    await engine.peers[0].gone.wait()
    assert idle(http1, engine) == []


async def test_many_at_once_leave_no_more_than_were_needed(http1: Http1Upstream, run: Engines):
    engine = await run(answering(*[OK] * 4))
    for _ in range(4):
        await asyncio.gather(*(fetch(http1, engine) for _ in range(5)))
    assert len(engine.peers) == len(idle(http1, engine)) == 5


async def test_closing_ends_idle_and_busy_connections(run: Engines):
    upstream = Http1Upstream()
    engine = await run(in_turn(answering(OK), silent))
    await fetch(upstream, engine)
    busy = asyncio.create_task(upstream.send(ask(engine.address, reuse=False), within()))
    await (await engine.peer(1)).arrived.wait()
    await upstream.aclose()
    with pytest.raises(UpstreamError) as caught:
        await busy
    assert caught.value.reason == "reset"
    await engine.peers[0].gone.wait()
    await engine.peers[1].gone.wait()
    assert (upstream._connections, upstream._idle, upstream._sweeper) == (set(), {}, None)
    await upstream.aclose()


async def test_it_speaks_no_tls(http1: Http1Upstream, run: Engines):
    """An address that wants TLS never gets a request in the clear."""
    engine = await run(answering(OK))
    with pytest.raises(UpstreamError) as caught:
        await http1.send(ask(Address("127.0.0.1", engine.address.port, tls=True)), within())
    assert (caught.value.reason, engine.peers) == ("connect", [])
