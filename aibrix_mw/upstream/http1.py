"""Pooled HTTP/1.1: the client of the hot path."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import EngineRequest, Timers
from aibrix_mw.upstream.body import SLICE_BYTES, pieces
from aibrix_mw.upstream.connection import ClosedUnused, Connection, Exchange


class Http1Upstream:
    """An `Upstream` over plain HTTP/1.1.

    A connection idle for `keepalive` seconds is closed. Heads of answers are bounded by `max_header_bytes` and
    `max_headers`; beyond they are malformed.
    """

    def __init__(self, *, keepalive: float = 4.0, max_header_bytes: int = 65536, max_headers: int = 100) -> None:
        self.keepalive = keepalive
        self.max_header_bytes = max_header_bytes
        self.max_headers = max_headers
        self._idle: defaultdict[Address, list[Connection]] = defaultdict(list)
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, request: EngineRequest, timers: Timers) -> Exchange:
        """Send a request and wait for the head of the answer; UpstreamError when there is none."""
        head = _head(request)
        once = request.rest is not None  # it cannot be sent again
        connection = self._take(request.address) if request.reuse and not once else None
        if connection is not None:
            try:
                return await self._exchange(connection, head, request, timers)
            except ClosedUnused:
                pass  # closed while idle, the engine has not seen the request
        return await self._exchange(await self._connect(request.address, timers), head, request, timers)

    async def _exchange(self, connection: Connection, head: bytes, request: EngineRequest, timers: Timers) -> Exchange:
        exchange = connection.begin(timers)
        try:
            if request.rest is None and len(request.body) <= SLICE_BYTES:
                connection.write(head + request.body)
            else:
                chunked = request.rest is not None and request.length is None
                await connection.write_pieces(head, _in_chunks(pieces(request)) if chunked else pieces(request))
            await exchange.head()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _connect(self, address: Address, timers: Timers) -> Connection:
        if address.tls:
            raise UpstreamError("the engine wants TLS, which this client does not speak", "connect")
        loop = asyncio.get_running_loop()
        patience = min(timers.connect, timers.until - loop.time())
        try:
            async with asyncio.timeout(patience):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, address), address.host, address.port
                )
        except TimeoutError:
            raise ConnectTimeout if patience == timers.connect else UpstreamTimeout(timers.timer) from None
        except (OSError, UnicodeError):  # the latter: no host name
            raise UpstreamError("the engine cannot be reached", "connect") from None
        if connection.closed:
            raise ClosedUnused
        self._connections.add(connection)
        return connection

    # --- the pool

    def _take(self, address: Address) -> Connection | None:
        """The connection that was used last, unless it has idled too long."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if not connection.closed and connection.loop.time() - connection.idle_since < self.keepalive:
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection) -> None:
        """Put a connection back for the next request."""
        connection.idle_since = connection.loop.time()
        self._idle[connection.address].append(connection)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(self.keepalive, self._sweep)

    def forget(self, connection: Connection) -> None:
        """Hear that a connection has ended."""
        self._connections.discard(connection)
        idle = self._idle.get(connection.address)
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close what has idled too long; look again while anything is idle."""
        self._sweeper = None
        loop = asyncio.get_running_loop()
        since = loop.time() - self.keepalive
        for address, idle in list(self._idle.items()):
            for connection in [connection for connection in idle if connection.idle_since <= since]:
                idle.remove(connection)
                connection.abort()
            if not idle:
                del self._idle[address]
        if self._idle:
            self._sweeper = loop.call_later(self.keepalive / 2, self._sweep)

    async def aclose(self) -> None:
        """Close all connections; exchanges under way are aborted."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._connections):
            connection.fail(UpstreamError("the gateway has closed its connections", "reset"))
        self._idle.clear()


def _head(request: EngineRequest) -> bytes:
    lines = [request.method, b" ", request.target, b" HTTP/1.1\r\nhost: ", request.host]
    for name, value in request.headers:
        lines += (b"\r\n", name, b": ", value)
    length = len(request.body) if request.rest is None else request.length
    lines.append(
        b"\r\ntransfer-encoding: chunked\r\n\r\n" if length is None else b"\r\ncontent-length: %d\r\n\r\n" % length
    )
    head = b"".join(lines)
    lines_expected = len(request.headers) + 4
    if head.count(b"\n") != lines_expected or head.count(b"\r") != lines_expected or b"\0" in head:
        raise ValueError("a header has a line break or a NUL in it")
    return head


async def _in_chunks(parts: AsyncIterator[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    async for part in parts:
        yield _chunk(part)
    yield b"0\r\n\r\n"


def _chunk(data: bytes | memoryview) -> bytes:
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
