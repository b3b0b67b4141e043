"""KeepaliveMiddleware: comments in a stream that has not begun, so that nobody on the way gives the connection up."""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw.errors import REFUND, error_body
from aibrix_mw.paths import INFERENCE_PATHS, is_anthropic, route_path
from aibrix_mw.scope import ANSWER_HEADERS, InferencePaths, answer_headers, give_back_now

COMMENT: Final = b": keep-alive\n\n"
_HEAD: Final = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_LONGEST_ERROR: Final = 65536


class KeepaliveMiddleware:
    """Sends a comment every `interval` seconds until the answer begins, to clients that want a stream.

    The head goes with the first comment: 200, with the headers that middlewares outside of this one add; what those
    inside would say is not settled yet, because another pod may still be tried. What is refused after that, and an
    engine's answer that is no stream, becomes one event with the error.
    """

    def __init__(self, app: ASGIApp, *, interval: float, paths: Iterable[str] = INFERENCE_PATHS) -> None:
        self.app = app
        self.interval = interval
        self.paths = InferencePaths(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application."""
        request = self.paths.request(scope)
        if request is None or not request.stream:
            await self.app(scope, receive, send)
            return
        stream = Stream(scope, answer_headers(scope, send, ()), self.interval)
        try:
            await self.app(scope, receive, stream.send)
        finally:
            stream.stop()


class Stream:
    """One answer: comments until the application has something to say."""

    def __init__(self, scope: Scope, send: Send, interval: float) -> None:
        self.scope = scope
        self.interval = interval
        self.begun = False
        self._send = send
        self._inner_headers: list[tuple[bytes, bytes]] = []
        ANSWER_HEADERS.put(scope, self._inner_headers)  # so that they are left out of a head that goes early
        self._commenting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Error | None = None
        self._wait()

    async def send(self, message: Message) -> None:
        """Pass on a message of the application's, in the form that is still possible."""
        if message["type"] == "http.response.start":
            self.stop()
            if self._commenting is not None:
                await self._commenting
            if self.begun:
                await self._go_on(message)
                return
            message["headers"] = [*message.get("headers", ()), *self._inner_headers]
        elif self._error is not None:
            message = self._error.take(message)
        await self._send(message)

    def stop(self) -> None:
        """Send no more comments."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _go_on(self, start: Message) -> None:
        """The answer has a status, and the client has had another one, or the same."""
        if start.get(REFUND):
            await give_back_now(self.scope)
        headers = dict(start.get("headers", ()))
        is_events = headers.get(b"content-type", b"").lower().startswith(b"text/event-stream")
        if start["status"] != 200 or not is_events or b"content-encoding" in headers:
            self._error = Error(route_path(self.scope), start["status"])

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.interval, self._comment)

    def _comment(self) -> None:
        if self._commenting is None or self._commenting.done():  # else the client is slow
            self._commenting = asyncio.ensure_future(self._say())
        self._wait()

    async def _say(self) -> None:
        """Send a comment, after the head if that is to come."""
        try:
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": list(_HEAD)})
            await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        except OSError:  # the client has gone; whoever serves the request hears of it in its own way
            self.stop()


class Error:
    """An answer that comes too late to have its own status: one event in its place."""

    def __init__(self, path: str, status: int) -> None:
        self.path = path
        self.status = status
        self._body = b""

    def take(self, message: Message) -> Message:
        """What to send in place of a part of the answer's body: nothing before the end."""
        self._body = (self._body + message.get("body", b""))[:_LONGEST_ERROR]
        if message.get("more_body", False):
            return {"type": "http.response.body", "body": b"", "more_body": True}
        event = b"event: error\ndata: " if is_anthropic(self.path) else b"data: "
        return {"type": "http.response.body", "body": event + self._data() + b"\n\n"}

    def _data(self) -> bytes:
        """The error on one line: as it was written, if it is one."""
        if self.status >= 400:
            try:
                found = msgspec.json.decode(self._body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                found = None
            if isinstance(found, dict) and "error" in found:
                return msgspec.json.encode(found)
        message = f"the engine answered {self.status}, and no stream"
        return error_body(self.path, max(self.status, 502), message, "upstream_error")
