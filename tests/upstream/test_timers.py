"""Each timer rings when it should, and says its name."""

import asyncio

import pytest

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Timers, Upstream
from aibrix_mw.upstream.connection import HIGH_WATER_BYTES
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.upstream.asking import CHUNKED, HEAD, OK, ask, fetch, read_all, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import Peer, Script, answering, silent

T = 0.1
NEAR = 0.05


class Stopwatch:
    """Asserts that a block takes T, by a timer that the machine holds up as long as it does the block's."""

    def __init__(self, seconds: float = T) -> None:
        self.seconds = seconds
        self.rang: float | None = None

    def __enter__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.due = self.loop.time() + self.seconds
        self.timer = self.loop.call_at(self.due, self.ring)

    def ring(self) -> None:
        self.rang = self.loop.time()

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        assert self.loop.time() == pytest.approx(self.rang or self.due, abs=NEAR)


def trickling(*pieces: bytes) -> Script:
    """Send pieces, each after the event `arrived`, then nothing."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
            peer.arrived.clear()
            await peer.arrived.wait()
        await peer.until_gone()

    return script


async def test_connecting(upstream: Upstream, black_hole: Address):
    with Stopwatch(), pytest.raises(ConnectTimeout, match="connect_timeout") as caught:
        await upstream.send(ask(black_hole), within(connect=T))
    assert (caught.value.reason, caught.value.repeatable) == ("connect", True)


async def test_a_deadline_while_connecting(upstream: Upstream, black_hole: Address):
    with Stopwatch(), pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(ask(black_hole), within(T))
    assert caught.value.timer == "first_byte_timeout"


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid", "a..b", "x" * 70])
async def test_nobody_there(upstream: Upstream, unused_tcp_port: int, host: str):
    """F19."""
    with pytest.raises(UpstreamError) as caught:
        await upstream.send(ask(Address(host, unused_tcp_port)), within())
    assert caught.value.reason == "connect"


@pytest.mark.parametrize("timer", ["first_byte_timeout", "response_timeout"])
async def test_no_head(upstream: Upstream, run: Engines, timer: str):
    engine = await run(silent)
    with Stopwatch(), pytest.raises(UpstreamTimeout, match=timer) as caught:
        await upstream.send(ask(engine.address), within(T, timer, whole=timer == "response_timeout"))
    assert (caught.value.timer, caught.value.status, len(engine.peers)) == (timer, 504, 1)
    await engine.peers[0].gone.wait()


async def test_no_first_byte_after_the_head(upstream: Upstream, run: Engines):
    """Neither a head nor an interim answer nor the size of a chunk is a first byte."""

    async def exchange(head: bytes) -> None:
        engine = await run(answering(head))
        with Stopwatch(), pytest.raises(UpstreamTimeout, match="first_byte_timeout"):
            await fetch(upstream, engine, timers=within(T, idle=0.01))

    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    heads = [HEAD + b"content-length: 5\r\n\r\n", CHUNKED, CHUNKED + b"5\r\n", HEAD + b"\r\n", interim, b"HTTP"]
    await asyncio.gather(*map(exchange, heads))


async def test_the_gap_between_bytes(upstream: Upstream, run: Engines):
    """A stream has no total: the time to the first byte does not bound it."""
    engine = await run(trickling(CHUNKED + b"1\r\na\r\n"))
    answer = await upstream.send(ask(engine.address), within(0.05, idle=T))
    assert await answer.read() == b"a"
    with Stopwatch(), pytest.raises(UpstreamTimeout, match="idle_timeout") as caught:
        await answer.read()
    assert caught.value.timer == "idle_timeout"


async def test_each_byte_starts_the_gap_anew(upstream: Upstream, run: Engines):
    loop = asyncio.get_running_loop()
    engine = await run(trickling(HEAD + b"\r\n", b"a", b"b"))
    answer = await upstream.send(ask(engine.address), within(T, idle=T))
    for late in range(1, 3):
        loop.call_later(late * 0.6 * T, engine.peers[0].arrived.set)
    with Stopwatch(2.2 * T), pytest.raises(UpstreamTimeout, match="idle_timeout"):
        await read_all(answer)


async def test_the_whole_answer(upstream: Upstream, run: Engines):
    engine = await run(trickling(HEAD + b"content-length: 9\r\n\r\n", b"abc", b"def"))
    answer = await upstream.send(ask(engine.address), within(T, "response_timeout", whole=True))
    loop = asyncio.get_running_loop()
    for late in (0.02, 0.06):
        loop.call_later(late, engine.peers[0].arrived.set)
    with Stopwatch(), pytest.raises(UpstreamTimeout, match="response_timeout"):
        await read_all(answer)


async def test_a_gap_in_a_whole_answer(upstream: Upstream, run: Engines):
    engine = await run(trickling(HEAD + b"content-length: 9\r\n\r\nabc"))
    with Stopwatch(), pytest.raises(UpstreamTimeout, match="idle_timeout"):
        await read_all(await upstream.send(ask(engine.address), within(5, "response_timeout", whole=True, idle=T)))


async def test_an_engine_that_does_not_read(upstream: Upstream, run: Engines):
    async def deaf(peer: Peer) -> None:
        await peer.head()
        peer.stop_reading()
        await peer.arrived.wait()

    engine = await run(deaf, 8192)
    with Stopwatch(), pytest.raises(UpstreamTimeout, match="first_byte_timeout"):
        await upstream.send(ask(engine.address, bytes(20_000_000)), within(T))


async def test_a_body_that_does_not_come(upstream: Upstream, run: Engines):
    async def stalled():
        yield b"begin"
        await asyncio.get_running_loop().create_future()

    engine = await run(silent)
    with Stopwatch(), pytest.raises(UpstreamTimeout, match="first_byte_timeout"):
        await upstream.send(ask(engine.address, rest=stalled()), within(T))


async def test_a_deadline_that_has_passed(upstream: Upstream, run: Engines):
    engine = await run(answering(OK, b"", b""))
    await fetch(upstream, engine)
    for reuse in (True, False):
        with Stopwatch(0), pytest.raises(UpstreamTimeout, match="first_byte_timeout"):
            await upstream.send(ask(engine.address, reuse=reuse), within(-1))


@pytest.mark.parametrize("longer", [0.3, 100.0])
async def test_a_shorter_deadline_on_a_connection_used_before(http1: Http1Upstream, run: Engines, longer: float):
    """The alarm of the exchange before is still set, for later."""
    engine = await run(answering(OK, b""))
    await http1.send(ask(engine.address), within(longer))
    with Stopwatch(), pytest.raises(UpstreamTimeout):
        await http1.send(ask(engine.address), within(T))
    assert len(engine.peers) == 1


async def test_a_longer_deadline_on_a_connection_used_before(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, b""))
    await http1.send(ask(engine.address), within(0.04))
    with Stopwatch(), pytest.raises(UpstreamTimeout):
        await http1.send(ask(engine.address), within(T))


async def test_an_alarm_without_an_exchange_is_nothing(run: Engines):
    upstream = Http1Upstream(keepalive=100)
    engine = await run(answering(OK, OK))
    await upstream.send(ask(engine.address), within(0.03))
    (connection,) = upstream._connections
    connection._ring()
    assert (await fetch(upstream, engine))[1] == b"ok"
    assert len(engine.peers) == 1
    await upstream.aclose()


async def test_a_slow_reader_is_not_the_engines_gap(upstream: Upstream, run: Engines):
    """While nobody reads, the engine cannot send: that is no silence of its own."""
    size = 12_000_000

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"content-length: %d\r\n\r\n" % size)
        peer.sent = 0
        await peer.flood(size)
        await peer.until_gone()

    engine = await run(script)
    loop = asyncio.get_running_loop()
    timers = Timers(until=loop.time() + 5, timer="first_byte_timeout", whole=False, idle=0.06)
    answer = await upstream.send(ask(engine.address), timers)
    first = await answer.read()
    pause = loop.create_future()
    loop.call_later(0.15, pause.set_result, None)
    await pause
    assert engine.peers[0].sent < size - HIGH_WATER_BYTES
    assert len(first) + len(await read_all(answer)) == size
