"""One HTTP/1.1 connection to an engine, parsed by llhttp.

A `Connection` hands what arrives to the `Exchange` that waits for it: no task, no queue and, with constant timeouts,
no timer belongs to a request. Framing is strict: what is not unmistakably one well-formed answer is an error and ends
the connection. The two call each other for every piece, which is why they share one long file.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Protocol, cast

import httptools

from aibrix_mw.errors import Headers, UpstreamError, UpstreamTimeout
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Timers

HIGH_WATER_BYTES: Final = 65536
_WITHOUT_BODY: Final = frozenset({204, 304})


class Pool(Protocol):
    """What a connection needs of the client that it belongs to."""

    max_header_bytes: int
    max_headers: int

    def keep(self, connection: "Connection") -> None:
        """Put a connection back for the next request."""
        ...

    def forget(self, connection: "Connection") -> None:
        """Hear that a connection has ended."""
        ...


class ClosedUnused(UpstreamError):
    """The connection ended before any byte of an answer: a kept-alive one was probably closed already."""

    def __init__(self) -> None:
        super().__init__("the engine closed the connection", "reset")


class Exchange:
    """One request and its answer; an `Answer`."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_error",
        "_loop",
        "_waiter",
        "complete",
        "headed",
        "headers",
        "size",
        "status",
    )

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.headed = False
        self.complete = False
        self.size = 0
        self._chunks: list[bytes] = []
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._connection: Connection | None = connection
        self._loop = connection.loop

    # --- for the one who waits

    @property
    def ended(self) -> bool:
        """Whether all bytes have been read and the end is known."""
        return self.complete and not self._chunks

    async def read(self) -> bytes:
        """The bytes that have arrived since the last call; b"" at the end."""
        while not self._chunks:
            if self.complete:
                return b""
            await self.news()
        chunks = self._chunks
        self._chunks = []
        self.size = 0
        if self._connection is not None:
            self._connection.resume_reading()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Abort the exchange unless it has ended; whoever still waits for it gets an error."""
        connection = self._connection
        if connection is not None:
            connection.abort()
            self.fail(UpstreamError("the exchange was given up", "reset"))

    def news(self) -> asyncio.Future[None]:
        """Something to wait for: done when anything has changed. UpstreamError when nothing will any more."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        return waiter

    # --- for the connection

    def feed(self, chunk: bytes) -> None:
        """Take bytes of the body."""
        self._chunks.append(chunk)
        self.size += len(chunk)

    def finish(self) -> None:
        """Take note that the answer is complete; the connection may serve somebody else from now on."""
        self.complete = True
        self._connection = None

    def fail(self, error: UpstreamError) -> None:
        """Take note that no more will come; what has arrived is still read first."""
        self._error = error
        self._connection = None
        self.wake()

    def wake(self) -> None:
        """Tell the one who waits that something has changed."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Connection:
    """One connection to an engine: idle in its pool, or busy with one exchange.

    An `asyncio.Protocol` in all but name: without a base of plain Python its attributes are fields when compiled.
    """

    def __init__(self, upstream: "Pool", address: Address) -> None:
        self.upstream = upstream
        self.address = address
        self.loop = asyncio.get_running_loop()
        self.parser: Any = httptools.HttpResponseParser(self)
        self.transport = cast(asyncio.Transport, None)
        self.exchange: Exchange | None = None
        self.timers = cast(Timers, None)
        self.closed = False
        self.idle_since = 0.0
        self._read_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False
        self._sent_all = True
        self._sending: asyncio.Timeout | None = None
        self._deadline = 0.0
        self._timer = ""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._interim = False
        self._until_close = False

    # --- sending

    def begin(self, timers: Timers) -> Exchange:
        """Take the connection for one exchange."""
        self.exchange = exchange = Exchange(self)
        self.timers = timers
        self._received = 0
        self._headers = []
        self._until_close = False
        self._expect(timers.until, timers.timer)
        return exchange

    def write(self, data: bytes) -> None:
        """Send a whole request."""
        self.transport.write(data)

    async def write_pieces(self, head: bytes, pieces: AsyncGenerator[bytes | memoryview, None]) -> None:
        """Send a body piece by piece, as fast as the engine reads; stops when the exchange is over before that."""
        self._sent_all = False
        self.transport.write(head)
        try:
            async with asyncio.timeout(None) as self._sending, aclosing(pieces):
                async for piece in pieces:
                    self.transport.write(piece)
                    await self._written()
            self._sent_all = True
        except TimeoutError:
            if self.exchange is not None:
                raise  # it comes from where the pieces come from
        finally:
            self._sending = None

    async def _written(self) -> None:
        while self._write_paused and not self.closed:
            self._writable = self.loop.create_future()
            await self._writable

    def _stop_sending(self) -> None:
        """Interrupt `write_pieces`, wherever it waits."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.reschedule(0.0)

    def pause_writing(self) -> None:
        """Hear from the transport that the engine reads too slowly."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Hear from the transport that the engine has caught up."""
        self._write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # --- the life of a connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: complete an answer whose end is the connection's, fail any other."""
        self.closed = True
        self.upstream.forget(self)
        if self._alarm is not None:
            self._alarm.cancel()
        self._stop_sending()
        self.parser = None  # it leads back here
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        if self._until_close and exc is None:
            exchange.finish()
            exchange.wake()
        elif self._received:
            exchange.fail(UpstreamError("the engine closed the connection", "reset"))
        else:
            exchange.fail(ClosedUnused())

    def abort(self) -> None:
        """Drop the connection at once; the engine sees it and cancels its work."""
        self.exchange = None
        self.closed = True
        self._stop_sending()
        self.transport.abort()

    def fail(self, error: UpstreamError) -> None:
        """Drop the connection and tell whoever waits for an answer."""
        exchange = self.exchange
        self.abort()
        if exchange is not None:
            exchange.fail(error)

    # --- receiving

    def eof_received(self) -> None:
        """Leave it to the transport to close: engines do not half-close."""

    def data_received(self, data: bytes) -> None:
        """Parse what the engine sends."""
        exchange = self.exchange
        if exchange is None:
            self.abort()  # bytes after the end of an answer
            return
        self._received += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._cannot_parse(exchange)
            return
        exchange.wake()
        if self.exchange is None:
            return
        if self._received > self.upstream.max_header_bytes:  # a head or trailers without an end
            self._cannot_parse(exchange)
        elif exchange.size:
            self._expect_more()
            if exchange.size > HIGH_WATER_BYTES:
                self._read_paused = True
                self.transport.pause_reading()

    def _cannot_parse(self, exchange: Exchange) -> None:
        """After a complete answer this is the connection's fault only; else it is the answer's."""
        if exchange.complete:
            self.abort()
            exchange.wake()
        else:
            self.fail(UpstreamError("the engine's answer is malformed", "malformed"))

    def resume_reading(self) -> None:
        """Go on reading after the buffered bytes have been taken."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()
            self._expect_more()

    # --- callbacks of the parser; what they raise ends in _cannot_parse

    def _current(self) -> Exchange:
        if self.exchange is None:
            raise ValueError("an answer to no request")
        return self.exchange

    def on_message_begin(self) -> None:
        """Refuse a second answer."""
        self._current()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide how the answer ends."""
        exchange = self._current()
        headers = self._headers
        self._headers = []  # for the next head, or for trailers, which are nobody's
        if self._received > self.upstream.max_header_bytes:
            _check_size(headers, self.upstream.max_header_bytes)
        framed = _check_framing(headers, self.upstream.max_headers)
        exchange.status = status = self.parser.get_status_code()
        if status < 200:
            self._interim = True
            if status < 100 or framed:
                raise ValueError("an interim answer with a body")
            return
        self._until_close = not (framed or status in _WITHOUT_BODY)
        exchange.headers = headers
        exchange.headed = True
        self._received = 1

    def on_body(self, body: bytes) -> None:
        """Pass on bytes of the body."""
        cast(Exchange, self.exchange).feed(body)  # on_message_begin has seen to it
        self._received = 1  # counts what has come since

    def on_message_complete(self) -> None:
        """End the exchange; keep the connection if it can carry another one."""
        exchange = self._current()
        if self._interim:
            self._interim = False
            return
        exchange.finish()
        self.exchange = None
        if self._sent_all and not self._write_paused and self.parser.should_keep_alive():
            self.upstream.keep(self)
        else:
            self.abort()

    # --- time

    def _expect_more(self) -> None:
        """Expect the next bytes of a body."""
        timers = self.timers
        deadline = self.loop.time() + timers.idle
        if timers.whole and timers.until < deadline:
            self._expect(timers.until, timers.timer)
        elif self._alarm is None or self._alarm_at > deadline:
            self._expect(deadline, "idle_timeout")
        else:  # the same, once per chunk
            self._deadline = deadline
            self._timer = "idle_timeout"

    def _expect(self, deadline: float, timer: str) -> None:
        """Expect the next step until then. The alarm is set anew only if it would ring too late."""
        self._deadline = deadline
        self._timer = timer
        if self._alarm is None or self._alarm_at > deadline:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = deadline
            self._alarm = self.loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self.exchange is None:
            return
        if self.loop.time() < self._deadline:
            self._expect(self._deadline, self._timer)
        elif self._read_paused and self._timer == "idle_timeout":
            self._expect_more()  # it is the reader who is slow
        else:
            self.fail(UpstreamTimeout(self._timer))


def _check_size(headers: Headers, at_most: int) -> None:
    """ValueError for too large a head; asked where head and body came together in more bytes than that."""
    if sum(len(name) + len(value) + 4 for name, value in headers) > at_most:
        raise ValueError("too large a head")


def _check_framing(headers: Headers, at_most: int) -> bool:
    """Whether the head says how long the body is. ValueError for framing that two readers could read in two ways."""
    if len(headers) > at_most:
        raise ValueError("too many headers")
    length = coding = None
    for name, value in headers:
        if name == b"content-length":
            if length is not None:
                raise ValueError("two framing headers")
            length = value
        elif name == b"transfer-encoding":
            if coding is not None:
                raise ValueError("two framing headers")
            coding = value
    if coding is None:
        return length is not None
    if coding.strip().lower() != b"chunked" or length is not None:
        raise ValueError("an unknown transfer coding")
    return True
