"""A client that speaks ASGI itself: one request, and whatever a server would tell the application."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aibrix_mw.client import ON_DISCONNECT

CHAT = "/v1/chat/completions"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'


class Reply:
    """What the client got; `complete` says whether the answer had an end."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    @property
    def status(self):
        return self.messages[0]["status"] if self.messages else None

    @property
    def headers(self):
        return self.messages[0]["headers"]

    @property
    def chunks(self):
        return [message["body"] for message in self.messages[1:]]

    @property
    def body(self):
        return b"".join(self.chunks)

    @property
    def complete(self):
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    def header(self, name):
        (value,) = [value for key, value in self.headers if key == name.encode()] or [None]
        return value

    def json(self):
        return json.loads(self.body)


def _with_host(headers):
    """The headers, with a host, as every client sends one."""
    if any(name == b"host" for name, _ in headers):
        return list(headers)
    return [(b"host", b"gateway"), *headers]


class Client:
    """One request over plain ASGI; `leave()` closes the client's side.

    With `extension` the server tells of the disconnect by our callback, else by a message. A body without `ended` never
    ends. `broken` makes the server's `send` raise, as the ASGI specification allows after a disconnect.
    """

    def __init__(
        self,
        app,
        body: bytes | Iterable[bytes] = BODY,
        path: str = CHAT,
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        method: str = "POST",
        extension: bool = False,
        ended: bool = True,
        **scope: Any,
    ) -> None:
        self.app = app
        self.chunks = [body] if isinstance(body, bytes) else list(body)
        self.ended = ended
        self.reply = Reply()
        self.gone = asyncio.Event()
        self.got = asyncio.Event()
        self.broken = False
        self.received = 0
        self.callback: Callable[[], None] | None = None
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 8080),
            "client": ("203.0.113.9", 5555),
            "headers": _with_host(headers),
            "extensions": {ON_DISCONNECT: self._subscribe} if extension else {},
        } | scope

    def _subscribe(self, callback):
        self.callback = callback

    async def _receive(self):
        self.received += 1
        if self.chunks:
            chunk = self.chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks) or not self.ended}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if self.broken:
            raise OSError("the client has gone")
        self.reply.messages.append(message)
        if message.get("body"):
            self.got.set()

    async def ask(self):
        await self.app(self.scope, self._receive, self._send)
        return self.reply

    def start(self):
        return asyncio.ensure_future(self.ask())

    def leave(self):
        self.gone.set()
        if self.callback is not None:
            self.callback()


async def ask(app, *args: Any, **options: Any) -> Reply:
    """One request from start to end."""
    reply: Reply = await Client(app, *args, **options).ask()
    return reply
