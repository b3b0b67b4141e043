"""Moments in the life of an http1 connection that a real engine reaches only by chance."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream import http1
from aibrix_mw.upstream.connection import ClosedUnused, Connection, Exchange
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.upstream.asking import CHUNKED, HEAD, OK, ask, fetch, within
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import answering


async def head_of(exchange):
    while not exchange.headed:
        await exchange.news()


@pytest.fixture
async def pool() -> Mock:
    pool = Mock(max_header_bytes=65536, max_headers=100)
    pool.keep.return_value = pool.forget.return_value = None  # compiled code insists
    return pool


@pytest.fixture
async def connection(pool: Mock) -> Connection:
    """A connection on a transport that does nothing."""
    connection = Connection(pool, Address("engine", 80))
    connection.connection_made(Mock())
    return connection


@pytest.fixture
async def exchange(connection: Connection) -> Any:
    """One exchange on it."""
    yield connection.begin(within())
    connection.connection_lost(None)


async def test_all_that_arrived_between_two_reads_is_one_piece(connection: Connection, exchange: Exchange):
    connection.data_received(CHUNKED + b"3\r\nabc\r\n3\r\nde")
    connection.data_received(b"f\r\n")
    assert await exchange.read() == b"abcdef"
    assert not exchange.ended


async def test_the_end_is_known_when_the_last_bytes_are_read(connection: Connection, exchange: Exchange):
    connection.data_received(OK)
    assert not exchange.ended
    assert await exchange.read() == b"ok"
    assert exchange.ended


async def test_data_outlive_a_failure(connection: Connection, exchange: Exchange):
    connection.data_received(HEAD + b"content-length: 9\r\n\r\nabc")
    connection.connection_lost(ConnectionResetError())
    await head_of(exchange)
    assert await exchange.read() == b"abc"
    for _ in range(2):
        with pytest.raises(UpstreamError, match="closed"):
            await exchange.read()


async def test_trailers_do_not_reach_the_headers(connection: Connection, exchange: Exchange):
    connection.data_received(CHUNKED)
    headers = list(exchange.headers)
    connection.data_received(b"0\r\nx-late: 1\r\n\r\n")
    assert (exchange.headers, exchange.complete) == (headers, True)


@pytest.mark.parametrize("tail", [b"x: 1\r\n" * 20000, b"x: " + b"a" * 100_000])
async def test_trailers_in_one_segment_are_bounded(connection: Connection, exchange: Exchange, tail: bytes):
    connection.data_received(CHUNKED + b"0\r\n")
    connection.data_received(tail)
    with pytest.raises(UpstreamError, match="malformed"):
        await exchange.read()


async def test_reading_pauses_and_goes_on(connection: Connection, exchange: Exchange):
    connection.data_received(HEAD + b"\r\n" + bytes(65537))
    connection.transport.pause_reading.assert_called_once()  # type: ignore[attr-defined]
    assert len(await exchange.read()) == 65537
    connection.transport.resume_reading.assert_called_once()  # type: ignore[attr-defined]


async def test_an_answer_complete_with_its_segment_does_not_pause(connection: Connection, exchange: Exchange):
    connection.data_received(HEAD + b"content-length: 70000\r\n\r\n" + bytes(70000))
    connection.transport.pause_reading.assert_not_called()  # type: ignore[attr-defined]
    assert len(await exchange.read()) == 70000


@pytest.mark.parametrize(("line", "kept"), [(b"", True), (b"connection: close\r\n", False)])
async def test_what_is_kept(connection: Connection, exchange: Exchange, line: bytes, kept: bool):
    connection.data_received(OK.replace(b"\r\n", b"\r\n" + line, 1))
    assert (connection.upstream.keep.called, connection.closed) == (kept, not kept)  # type: ignore[attr-defined]


async def test_an_answer_to_a_request_still_in_the_buffer_is_the_last(connection: Connection, exchange: Exchange):
    connection.pause_writing()
    connection.data_received(OK)
    assert (await exchange.read(), connection.closed) == (b"ok", True)


async def test_bytes_without_an_exchange_end_the_connection(connection: Connection):
    connection.data_received(OK)
    assert connection.closed
    connection.connection_lost(None)


async def test_a_reader_that_was_cancelled_is_not_woken(connection: Connection, exchange: Exchange):
    reading = asyncio.ensure_future(exchange.read())
    await asyncio.sleep(0)
    reading.cancel()
    connection.data_received(OK)
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await exchange.read() == b"ok"


async def test_a_writer_that_was_cancelled_is_not_woken(connection: Connection, exchange: Exchange):
    async def pieces():
        yield b"piece"

    connection.pause_writing()
    writing = asyncio.ensure_future(connection.write_pieces(b"", pieces()))
    await asyncio.sleep(0)
    writing.cancel()
    connection.resume_writing()
    with pytest.raises(asyncio.CancelledError):
        await writing


@pytest.mark.skipif(not str(http1.__file__).endswith(".py"), reason="nothing in compiled code can be replaced")
async def test_a_connection_that_ends_before_it_is_used(monkeypatch: pytest.MonkeyPatch, run: Engines):
    """It may be lost in the turn of the loop between being made and being handed out."""
    engine = await run(answering(OK))
    upstream = Http1Upstream()
    made = upstream._connect

    class Lost(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.abort()

    monkeypatch.setattr("aibrix_mw.upstream.http1.Connection", Lost)
    with pytest.raises(ClosedUnused):
        await made(engine.address, within())
    assert not upstream._connections
    monkeypatch.undo()
    assert (await fetch(upstream, engine))[1] == b"ok"
    await upstream.aclose()


async def test_a_connection_lost_while_idle_is_passed_over(http1: Http1Upstream, run: Engines):
    engine = await run(answering(OK, OK))
    for number in range(2):
        await fetch(http1, engine)
        assert len(engine.peers) == number + 1
        (connection,) = http1._connections
        connection.abort()


async def test_a_head_in_two_exchanges_starts_anew(connection: Connection):
    for _ in range(3):
        exchange = connection.begin(within())
        connection.data_received(HEAD + b"x-a: %b\r\ncontent-length: 2\r\n\r\nok" % (b"a" * 30000))
        assert len(exchange.headers) == 2
    connection.connection_lost(None)


def test_a_request_needs_a_loop_only_when_it_is_sent():
    ask(Address("engine", 80))
    Http1Upstream()
