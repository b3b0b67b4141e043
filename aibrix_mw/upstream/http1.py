"""Pooled HTTP/1.1: the client of the hot path."""

import asyncio
from collections import defaultdict
from typing import Any, cast

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.head import head_of
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import EngineRequest, Timers
from aibrix_mw.upstream.body import SLICE_BYTES, in_chunks, pieces
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
        connection = self._take(request.address) if request.reuse and request.rest is None else None
        while True:
            kept = connection is not None
            connection = connection or await self._connect(request.address, timers)
            exchange = connection.begin(timers)
            try:
                if request.rest is None and len(request.body) <= SLICE_BYTES:
                    connection.write(head + request.body)
                else:
                    await _write_pieces(connection, head, request)
                while not exchange.headed:
                    await exchange.news()
                return exchange
            except ClosedUnused:
                if not kept:
                    raise
                connection = None  # closed while idle, the engine has not seen the request
            except BaseException:
                exchange.close()
                raise

    async def _connect(self, address: Address, timers: Timers) -> Connection:
        if address.tls:
            raise UpstreamError("the engine wants TLS, which this client does not speak", "connect")
        loop = asyncio.get_running_loop()
        patience = min(timers.connect, timers.until - loop.time())
        try:
            async with asyncio.timeout(patience):
                connection = Connection(self, address)
                await loop.create_connection(lambda: cast(Any, connection), address.host, address.port)
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
    length = len(request.body) if request.rest is None else request.length
    start = b"%b %b HTTP/1.1" % (request.method, request.target)
    framing = b"transfer-encoding: chunked\r\n\r\n" if length is None else b"content-length: %d\r\n\r\n" % length
    return head_of(start, ((b"host", request.host), *request.headers), framing)


async def _write_pieces(connection: Connection, head: bytes, request: EngineRequest) -> None:
    chunked = request.rest is not None and request.length is None
    await connection.write_pieces(head, in_chunks(pieces(request)) if chunked else pieces(request))
