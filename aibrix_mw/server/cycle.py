"""One request of a client's connection, and its answer: the ASGI side of the served process.

The file is long because both directions share the state of one request, and a call to another object costs every chunk.
"""

import asyncio
import logging
from collections.abc import Awaitable, Generator
from typing import Any, Final, Protocol, cast

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from aibrix_mw.errors import Headers
from aibrix_mw.head import head_of
from aibrix_mw.telemetry.logs import CUT_SHORT

logger = logging.getLogger("aibrix_mw")

_STATUS_LINES: Final = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}
_BODILESS: Final = frozenset({204, 304})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_CHUNKED: Final = -1
_UNTIL_CLOSE: Final = -2
_NO_BODY: Final = -3
_INTERNAL_ERROR = b"Internal Server Error"
_INTERNAL_ERROR_HEADERS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_INTERNAL_ERROR)),
    (b"connection", b"close"),
)


class _Done:
    """Awaitable that is done: cheaper, once a chunk, than a coroutine that waits for nothing."""

    def __await__(self) -> Generator[Any, None, None]:
        return _nothing


_nothing: Generator[Any, None, None] = cast(Any, iter(()))
_DONE: Final = _Done()


class Connection(Protocol):
    """What a cycle needs of the connection that it belongs to."""

    transport: asyncio.Transport
    flow: FlowControl
    tasks: set[asyncio.Task[None]]

    def on_response_complete(self) -> None:
        """Hear that the answer has been written."""
        ...

    def expect_body(self) -> None:
        """Hear that the application waits for more of the body."""
        ...


class Cycle:
    """One request and its answer.

    The head of the answer leaves with the first bytes of the body, as ASGI wants it: one system call less, and an
    answer that breaks before that can still be another one.
    """

    __slots__ = (
        "_body",
        "_framing",
        "_head",
        "_news",
        "_started",
        "_unread",
        "complete",
        "connection",
        "disconnected",
        "keep_alive",
        "more_body",
        "scope",
        "task",
    )

    def __init__(self, connection: Connection, scope: Scope, *, keep_alive: bool) -> None:
        self.connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.disconnected = False
        self.more_body = True
        self.complete = False
        self._body = b""
        self._unread = False
        self._news: asyncio.Event | None = None
        self._started = False
        self._head = b""
        self._framing = 0  # bytes of the body that are still to come, or how else it ends

    @property
    def waits(self) -> bool:
        """Whether the application waits for what comes next."""
        return self._news is not None and not self._news.is_set()

    @property
    def begun(self) -> bool:
        """Whether bytes of the answer have been written."""
        return self._started and not self._head

    # --- for the connection

    def feed(self, body: bytes) -> None:
        """Take bytes of the request's body; pauses reading where the application is slower."""
        if self.complete:
            return  # the rest of a body that nobody wants any more
        self._body = body = self._body + body if self._body else body
        self._unread = True
        if self._news is not None:
            self._news.set()
        if len(body) > HIGH_WATER_LIMIT:
            self.connection.flow.pause_reading()

    def end(self) -> None:
        """Take note that the request is complete."""
        self.more_body = False
        self._unread = True
        if self._news is not None:
            self._news.set()

    def disconnect(self) -> None:
        """Take note that the client has left."""
        self.disconnected = not self.complete
        if self._news is not None:
            self._news.set()

    # --- the application

    async def run(self, app: ASGIApp) -> None:
        """Run the application; what it leaves unfinished is cut, so that the client notices."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.connection.transport.close()
        except BaseException:
            logger.exception("the application has failed")
            self._cut()
        else:
            if not (self.complete or self.disconnected):
                logger.error(CUT_SHORT if self.begun else "the application has ended without an answer")
                self._cut()
        finally:
            self.connection.tasks.discard(cast(Any, self.task))
            self.task = None
            self.scope = {}  # the idle connection keeps this cycle, and need not keep a whole request

    def _cut(self) -> None:
        if not (self.begun or self.disconnected):
            self._start(500, _INTERNAL_ERROR_HEADERS)
            self._write(_INTERNAL_ERROR, more=False)
        elif not self.complete:
            self.connection.transport.close()

    async def receive(self) -> Message:
        """Give the next event: bytes of the body, or that the client has left or been answered."""
        while not (self._unread or self.disconnected or self.complete):
            if self._news is None:
                self._news = asyncio.Event()
                self._invite()
            self._news.clear()
            self.connection.flow.resume_reading()
            if self.more_body:
                self.connection.expect_body()
            await self._news.wait()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self._body, self._unread = self._body, b"", False
        if len(body) > HIGH_WATER_LIMIT:  # who does not read does not see the client leave either
            self.connection.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _invite(self) -> None:
        """Tell a client that waits for it to send its body."""
        if self.more_body and not self._started and self._expected():
            self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expected(self) -> bool:
        """Whether the client waits for an invitation; HTTP/1.0 knows none (RFC 9110, 10.1.1)."""
        expectations = [value.strip().lower() for name, value in self.scope["headers"] if name == b"expect"]
        return b"100-continue" in expectations and self.scope["http_version"] == "1.1"

    def send(self, message: Message) -> Awaitable[None]:
        """Take an event of the answer. The awaitable is done when the client can take more, and after the last."""
        if self.disconnected:
            return _DONE
        kind = message["type"]
        if self._started:
            if kind != "http.response.body" or self.complete:
                raise RuntimeError(f"unexpected ASGI message {kind!r} after the answer has begun")
            self._write(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r} before the answer has begun")
        flow = self.connection.flow
        return flow.drain() if flow.write_paused and not self.complete else _DONE

    def _start(self, status: int, headers: Headers) -> None:
        self._started = True  # as under uvicorn a head that cannot be made ends the connection
        if status == 204:  # names no length, not even 0 (RFC 9110, 8.6)
            headers = [header for header in headers if header[0].lower() not in _FRAMING]
        if self.more_body and self._news is None and self._expected():
            self.keep_alive = False  # never invited: whether a body comes, only the client knows
        length, chunked, close = _framing_of(headers)
        end = b""
        if close:
            self.keep_alive = False
        elif not self.keep_alive:
            end = b"connection: close\r\n"
        if status in _BODILESS or self.scope["method"] == "HEAD":
            self._framing = _NO_BODY
        elif chunked:
            self._framing = _CHUNKED
        elif length is not None:
            self._framing = int(length)
        elif self.scope["http_version"] == "1.1":
            self._framing = _CHUNKED
            end += b"transfer-encoding: chunked\r\n"
        else:
            self._framing = _UNTIL_CLOSE
        start = _STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status
        self._head = head_of(start, headers, end + b"\r\n")

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._framing == _CHUNKED:
            end = b"" if more else b"0\r\n\r\n"
            body = b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end
        elif self._framing >= 0:
            left = self._framing - len(body)
            if left < 0 or (left and not more):
                raise RuntimeError("the body is not as long as its content-length")
            self._framing = left
        elif self._framing == _NO_BODY:
            body = b""
        head, self._head = self._head, b""
        if head or body:
            self.connection.transport.write(head + body if head else body)
        if not more:
            self._finish()

    def _finish(self) -> None:
        self.complete = True
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self.connection.transport.close()
        self.connection.on_response_complete()


def _framing_of(headers: Headers) -> tuple[bytes | None, bool, bool]:
    """Content-length, whether the body is chunked, and whether the connection is to be closed.

    ASGI wants names in lower case; framing must not depend on it. A name's length is asked first: it costs no call.
    """
    length: bytes | None = None
    chunked = close = False
    for name, value in headers:
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            length = value
        elif size == 17 and name.lower() == b"transfer-encoding":
            chunked = True
        elif size == 10 and name.lower() == b"connection":
            close = close or b"close" in value.lower()
    return length, chunked, close
