"""One connection of a client: HTTP/1.1 on llhttp, in the place of uvicorn's own protocol.

What it does for speed: one task and no other object of the event loop for a request, no timer that is set and cancelled
with each answer, one write for an answer that is there at once. And it calls back when the client leaves, keeps the
target as it came, and bounds what a client may send before there is a request, in bytes and in time: what comes in one
piece costs no more than a comparison for that. The file is long because a connection has many ways to end, and they
share its state.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final, cast

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from aibrix_mw.client import ON_DISCONNECT, RAW_TARGET
from aibrix_mw.head import size_of
from aibrix_mw.server.alarm import Alarm
from aibrix_mw.server.bounds import DEAF, MALFORMED, TOO_LARGE, TOO_SLOW, Bounds, Refusal, path_of
from aibrix_mw.server.cycle import Cycle
from aibrix_mw.server.target import TARGETS
from aibrix_mw.server.unread import has_unread

_METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_FIRST_REQUEST_SECONDS = 1.0
_LINGER_SECONDS = 1.0
# what is arriving
_NOTHING: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class GatewayProtocol:
    """Parses requests and runs the application for one after the other.

    An `asyncio.Protocol` in all but name: without a base of plain Python its attributes are fields when compiled.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any] | None = None,  # uvicorn's protocols are called with it
        _loop: asyncio.AbstractEventLoop | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.app: ASGIApp = config.loaded_app
        self.timeout_keep_alive = float(config.timeout_keep_alive)
        self.loop = _loop or asyncio.get_running_loop()
        self.connections: set[Any] = server_state.connections
        self.tasks: set[Any] = server_state.tasks
        self.parser: Any = _parser(self)
        self.transport = cast(asyncio.Transport, None)
        self.flow = cast(FlowControl, None)
        self.scheme = "http"
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._latest: Any = None  # the Cycle whose request is arriving, or was the last to arrive
        self._running: Cycle | None = None
        self._to_start: Cycle | None = None
        self._waiting: deque[Cycle] = deque()  # requests that came before the answer to the one before them
        self._last = False  # no request after the next one
        self._alarm = Alarm(self.loop, self._overdue)
        self._on_disconnect: Callable[[], None] | None = None
        self._subscribe: Any = self.on_disconnect
        given = bounds or Bounds()
        self.header_timeout = float(given.header_timeout)
        self.body_timeout = float(given.body_timeout)
        self.max_header_bytes = given.max_header_bytes
        self.max_headers = given.max_headers
        self._refused = given.refused
        self._arriving = _NOTHING
        self._size = 0  # of what is being parsed, with the pieces of an unfinished head before it
        self._kept = 0  # bytes of those pieces; in a body, bytes around it since there was any of it
        self._fed = False  # whether there was any of the body in the latest piece
        self._refusal: Refusal = MALFORMED

    # --- the life of a connection

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin."""
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.client = get_remote_addr(transport)
        self.server = get_local_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self._alarm.set(self.header_timeout)

    def eof_received(self) -> None:
        """Leave it to the transport to close."""

    def pause_writing(self) -> None:
        """Hear from the transport that the client reads too slowly."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Hear from the transport that the client has caught up."""
        self.flow.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, and let go of all that leads back here: no connection waits for the collector."""
        self.connections.discard(self)
        self._alarm.cancel()
        if self._running is not None:
            self._running.disconnect()
        self._waiting.clear()
        self.flow.resume_writing()
        self.transport.close()
        self.parser = self._subscribe = None
        self._latest = self._running = self._to_start = None
        self._tell()

    def shutdown(self) -> None:
        """Close the connection after the last answer that is owed.

        A request that is here already, be it unread, is owed one; a connection just made may still bring its first.
        """
        self._last = True
        if self._latest is None:
            self.loop.call_later(_FIRST_REQUEST_SECONDS, self._close_unused)
        elif not self._latest.complete:
            self._latest.keep_alive = False
        elif self._arriving == _NOTHING and has_unread(self.transport):
            self._alarm.set(_FIRST_REQUEST_SECONDS)  # it may be no more than an empty line
        elif self._arriving != _HEAD:
            self.transport.close()

    def _close_unused(self) -> None:
        if self._latest is None:
            self.transport.close()

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client leaves; None: no longer."""
        self._on_disconnect = callback
        if callback is not None and self.transport.is_closing():
            self.loop.call_soon(self._tell)

    def _tell(self) -> None:
        callback, self._on_disconnect = self._on_disconnect, None
        if callback is not None:
            callback()

    # --- requests

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends; the application starts after that, mostly with the whole body at hand."""
        self._size = self._kept + len(data)
        before, arriving = self._latest, self._arriving
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        else:
            if self._arriving:
                self._await_more(len(data), before, arriving)
            elif self._kept:
                self._kept = 0
        if self._to_start is not None:
            cycle, self._to_start = self._to_start, None
            self._start(cycle)

    def _await_more(self, size: int, before: Cycle | None, arriving: int) -> None:
        """Bound what is unfinished after a piece of `size` bytes, in which the request after `before` was arriving."""
        begun = self._latest is not before or arriving != self._arriving
        if self._arriving == _BODY and (begun or self._fed):
            self._kept = 0
            self._alarm.set(self.body_timeout)
        elif begun and (self._latest is not before or arriving == _BODY):
            self._kept = size_of(self.url, self.headers)  # the piece has other requests in it, too
        else:
            self._kept += size
        if begun and self._arriving == _HEAD and self._latest is not None:
            self._alarm.set(self.header_timeout)  # the first one's time runs from when the connection was made
        self._fed = False
        if self._kept > self.max_header_bytes or len(self.headers) > self.max_headers:
            self._refuse(TOO_LARGE)

    def _overdue(self) -> None:
        """End what has taken too long, unless it is us who do not read on."""
        latest = self._latest
        if self._arriving == _NOTHING:
            self.transport.close()
        elif self._arriving == _HEAD and self.flow.read_paused:
            self._alarm.set(self.header_timeout)
        elif self._arriving == _HEAD or latest.complete or latest.waits:
            self._refuse(TOO_SLOW)

    def expect_body(self) -> None:
        """Hear that the application waits for more of a body."""
        self._alarm.set(self.body_timeout)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what never becomes a request if it is its turn; else answer what came before it, and close."""
        self.parser = DEAF
        self._arriving = _NOTHING
        self._alarm.due = inf
        latest = self._latest
        if self._waiting:
            if latest.more_body:
                self._waiting.pop()
            last = self._waiting[-1] if self._waiting else self._running
            assert last is not None  # nothing waits but behind what runs
            last.keep_alive = False
            self._latest = last
        elif self._running is not None and not self._running.more_body:
            self._running.keep_alive = False
        elif latest is not None and latest.more_body and latest.begun:
            self.transport.close()
        else:
            if self._running is not None:
                self._running.disconnect()
            elif self._refused is not None:
                self._refused(refusal.status, path_of(self.url))
            self._to_start = None
            self.transport.write(refusal.answer(self.url))
            self._hang_up(linger=refusal is TOO_LARGE)

    def _hang_up(self, *, linger: bool) -> None:
        """Close; who may still be sending could lose the answer by that, and is listened to for a moment."""
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self._alarm.set(_LINGER_SECONDS)
        else:
            self.transport.close()

    def _stay(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 after a request to upgrade.

        The parser has skipped the body, so a new one gets the head again, without the wish.
        """
        cycle = self._latest
        scope = cycle.scope
        if scope["method"] == "CONNECT":
            cycle.keep_alive = False
            return
        if self._to_start is cycle:
            self._to_start = self._running = None
        else:
            self._waiting.pop()
        self.parser = _parser(self)
        fields = [b"%b: %b\r\n" % header for header in scope["headers"] if header[0] != b"upgrade"]
        start = b"%b %b HTTP/%b\r\n" % (scope["method"].encode(), self.url, scope["http_version"].encode())
        self.data_received(b"%b%b\r\n%b" % (start, b"".join(fields), rest))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._arriving = _HEAD
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        """Take the target, or a part of it."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Make the scope."""
        if self._size > self.max_header_bytes or len(self.headers) > self.max_headers:
            self._measure()
        self._arriving = _BODY
        parser = self.parser
        method = parser.get_method()
        version = parser.get_http_version()
        path, raw_path, query = TARGETS[self.url]
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": _METHODS.get(method) or method.decode("ascii"),
            "scheme": self.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "extensions": {ON_DISCONNECT: self._subscribe, RAW_TARGET: self.url},
        }
        self.headers = []  # for trailers, which are nobody's
        keep_alive = version == "1.1" and not self._last and parser.should_keep_alive()
        cycle = Cycle(self, scope, keep_alive=keep_alive)
        self._latest = cycle
        if self._running is None:
            self._running = self._to_start = cycle
        else:
            self.flow.pause_reading()
            self._waiting.append(cycle)

    def _measure(self) -> None:
        """Refuse a head that is too large, now that all of it is there."""
        if size_of(self.url, self.headers) > self.max_header_bytes or len(self.headers) > self.max_headers:
            self._refusal = TOO_LARGE
            raise ValueError("the head is too large")

    def on_body(self, body: bytes) -> None:
        """Take bytes of a body."""
        self._fed = True
        self._latest.feed(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._arriving = _NOTHING
        self._alarm.due = inf
        cycle = self._latest
        cycle.end()
        if cycle.complete:
            self.rest()

    def _start(self, cycle: Cycle) -> None:
        cycle.task = self.loop.create_task(cycle.run(self.app))
        self.tasks.add(cycle.task)  # the loop alone would let go of it

    # --- answers

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is one already."""
        self._running = None
        if self.transport.is_closing():
            return
        if self._waiting:
            self._running = self._waiting.popleft()
            self._start(self._running)
            if self._arriving == _HEAD:
                self._alarm.set(self.header_timeout)
        else:
            self.rest()
        if not self._waiting:
            self.flow.resume_reading()

    def rest(self) -> None:
        """Close the connection unless more comes in time; what is arriving has its own time."""
        if self._arriving == _NOTHING:
            self._alarm.set(self.timeout_keep_alive)


def _parser(protocol: GatewayProtocol) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(protocol)
    # what a client sends after `connection: close` must not cost it the answer
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
