"""Any `httpx.AsyncClient` or transport as an `Upstream`: mTLS, HTTP/2, tests.

What travels is what http1.py sends, byte for byte; which connection it travels on is the business of the client's own
pool, and so is what the transport makes of bytes after the end of an answer. The cost is httpx's: several times that
of http1.py. The file is long because httpx hides what retries and timers must know: which connection a request went out
on, how far it came, and what the transport's exceptions mean.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import AsyncGeneratorType
from typing import Any, cast

import httpx

from aibrix_mw.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from aibrix_mw.upstream.base import EngineRequest, Timers
from aibrix_mw.upstream.body import pieces

_LINE_BREAK = re.compile(rb"[\r\n\0]")
_CLOSED = re.compile("disconnected|closed|terminated|reset", re.IGNORECASE)
_WITHOUT_BODY = frozenset({204, 304})


class HttpxUpstream:
    """An `Upstream` over an httpx client or transport, which it closes at the end; without one, over one of its own.

    Of a client its connections, authentication and hooks apply; its default headers, cookies, timeouts and redirects
    do not. The client's own pool decides about connections: `reuse` only says whether a request may be sent once more
    when a connection kept alive turns out closed. Give it limits that are no limits (`max_connections=None`).
    """

    def __init__(
        self,
        via: httpx.AsyncClient | httpx.AsyncBaseTransport | None = None,
        *,
        max_header_bytes: int = 65536,
        max_headers: int = 100,
    ) -> None:
        self._via = via or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None, keepalive_expiry=4.0))
        self.max_header_bytes = max_header_bytes
        self.max_headers = max_headers
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: EngineRequest, timers: Timers) -> "HttpxAnswer":
        """Send a request and wait for the head of the answer; UpstreamError when there is none."""
        travel = _Travel()
        try:
            return await self._exchange(request, timers, travel)
        except UpstreamError as error:
            if error.reason != "reset" or not travel.on_old_connection or not request.reuse or request.rest is not None:
                raise
        return await self._exchange(request, timers, _Travel())

    async def _exchange(self, request: EngineRequest, timers: Timers, travel: "_Travel") -> "HttpxAnswer":
        async with _until(timers.until, timers.timer):
            response = await self._send(_message(request, timers, travel))
        answer = HttpxAnswer(self, response, timers)
        try:
            self._check(answer)
            await answer.skip_end()
        except BaseException:
            answer.close()
            raise
        return answer

    async def _send(self, message: httpx.Request) -> httpx.Response:
        if isinstance(self._via, httpx.AsyncClient):
            return await self._via.send(message, stream=True, follow_redirects=False)
        return await self._via.handle_async_request(message)

    def _check(self, answer: "HttpxAnswer") -> None:
        """Refuse a head that is too large, or that two readers could read in two ways."""
        headers = answer.headers
        lengths = [value for name, value in headers if name == b"content-length"]
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if (
            answer.status < 200
            or len(headers) > self.max_headers
            or size > self.max_header_bytes
            or len(lengths) + len(codings) > 1
            or not all(map(bytes.isdigit, lengths))
            or any(coding != b"chunked" for coding in codings)
        ):
            raise _malformed()

    def close_later(self, answer: "HttpxAnswer") -> None:
        """Abort an exchange from outside of a coroutine."""
        task = asyncio.get_running_loop().create_task(answer.abort())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._via.aclose()
        await asyncio.gather(*self._closing)


class HttpxAnswer:
    """An `Answer` that httpx reads."""

    def __init__(self, upstream: HttpxUpstream, response: httpx.Response, timers: Timers) -> None:
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.ended = False
        self._upstream = upstream
        self._response = response
        self._timers = timers
        self._chunks = cast("AsyncGeneratorType[bytes, None]", _raw(response))
        self._size = 0
        self._closed = False

    async def read(self) -> bytes:
        """The bytes that have arrived since the last call; b"" at the end."""
        chunk = b"" if self.ended else await self._next()
        return await self._take(chunk) if chunk else b""

    def close(self) -> None:
        """Abort the exchange unless it has ended."""
        if not self._closed and not self.ended:
            self._closed = True
            self._upstream.close_later(self)

    async def abort(self) -> None:
        """Give the connection back to the transport as unusable."""
        with suppress(httpx.HTTPError):
            await self._response.aclose()
        if not self._chunks.ag_running:
            await self._chunks.aclose()

    async def skip_end(self) -> None:
        """Take an end that is already known, so that the connection can serve somebody else."""
        if self._left() != 0:
            return
        with suppress(UpstreamError):  # the answer is complete whatever comes
            await self._next()
        if not self.ended:
            self.close()
            self.ended = True

    def _left(self) -> int | None:
        """How many bytes are still to come, if that is known."""
        if self.status in _WITHOUT_BODY:
            return 0
        length = self._response.headers.get("content-length")
        return None if length is None else int(length) - self._size

    async def _take(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        left = self._left()
        if left is not None and left < 0:
            chunk = chunk[:left]
            self.close()
            self.ended = True
        else:
            await self.skip_end()
        return chunk

    async def _next(self) -> bytes:
        if self._closed:
            raise UpstreamError("the exchange was given up", "reset")
        async with _until(*self._deadline()):
            chunk = await anext(self._chunks, b"")
        if not chunk:
            if self._left():
                raise UpstreamError("the engine closed the connection", "reset")
            self.ended = True
        return chunk

    def _deadline(self) -> tuple[float, str]:
        timers = self._timers
        if not self._size:
            return timers.until, timers.timer
        idle_until = asyncio.get_running_loop().time() + timers.idle
        if timers.whole and timers.until < idle_until:
            return timers.until, timers.timer
        return idle_until, "idle_timeout"


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """What `aiter_raw` yields, also of an answer that its transport has read already."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        if chunk:
            yield chunk
    await response.aclose()


class _Travel:
    """Hears from httpcore whether a request has had a connection of its own; of other transports nothing is known."""

    def __init__(self) -> None:
        self._sent = False
        self._connected = False

    @property
    def on_old_connection(self) -> bool:
        return self._sent and not self._connected

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            self._sent = True
        elif event.startswith("connection.connect"):
            self._connected = True


@asynccontextmanager
async def _until(deadline: float, timer: str) -> AsyncIterator[None]:
    """Bound a step in time and turn httpx's errors into ours."""
    try:
        async with asyncio.timeout_at(deadline) as scope:
            yield
    except TimeoutError:
        if scope.expired():
            raise UpstreamTimeout(timer) from None
        raise
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise _translation(error) from None


class _Body(httpx.AsyncByteStream):
    """The body of a request, as httpx wants it."""

    def __init__(self, request: EngineRequest) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in pieces(self._request):
            yield bytes(piece)


def _message(request: EngineRequest, timers: Timers, travel: _Travel) -> httpx.Request:
    length = len(request.body) if request.rest is None else request.length
    framing = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length)
    headers = [(b"host", request.host), *request.headers, framing]
    if _LINE_BREAK.search(request.target) or any(_LINE_BREAK.search(part) for pair in headers for part in pair):
        raise ValueError("a header has a line break or a NUL in it")
    timeout = {"connect": timers.connect, "read": None, "write": None, "pool": None}
    extensions = {"timeout": timeout, "target": request.target, "trace": travel}
    url, body, method = _url(request), _Body(request), request.method.decode()
    return httpx.Request(method, url, headers=headers, stream=body, extensions=extensions)


def _url(request: EngineRequest) -> httpx.URL:
    address = request.address
    scheme = "https" if address.tls else "http"
    return httpx.URL(scheme=scheme, host=address.host, port=address.port, raw_path=request.target)


def _translation(error: Exception) -> Exception:
    if isinstance(error, httpx.ConnectTimeout):
        return ConnectTimeout()
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return UpstreamError("the engine cannot be reached", "connect")
    if isinstance(error, httpx.LocalProtocolError):
        return ValueError(str(error))
    if isinstance(error, httpx.TimeoutException):
        return UpstreamTimeout(type(error).__name__)
    if isinstance(error, (httpx.RemoteProtocolError, httpx.DecodingError)) and not _CLOSED.search(str(error)):
        return _malformed()
    return UpstreamError("the engine closed the connection", "reset")


def _malformed() -> UpstreamError:
    return UpstreamError("the engine's answer is malformed", "malformed")
