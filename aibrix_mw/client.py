"""The client's side of a request: its body, and whether it is still there."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from starlette.types import Message, Receive, Scope

from aibrix_mw.buffered import Buffered
from aibrix_mw.errors import RequestTooLarge

ON_DISCONNECT = "aibrix_mw.on_disconnect"
"""ASGI extension of the served process: call it with a callback for when the client leaves, or with None."""
RAW_TARGET = "aibrix_mw.raw_target"
"""ASGI extension of the served process: the request's target as it came, of which `raw_path` is only a part."""

Subscribe = Callable[[Callable[[], None] | None], None]


class ClientLeft(Exception):
    """The client closed its connection; there is nobody to answer."""


class BodyReader:
    """Reads a request's body, at most `limit` bytes; a single chunk is taken as it is, without a copy.

    What it has read counts in `buffered` until `let_go`.
    """

    def __init__(self, receive: Receive, limit: int, buffered: Buffered | None = None) -> None:
        self._receive = receive
        self._limit = limit
        self._buffered = buffered or Buffered(limit)
        self._held = 0
        self.body: bytes | bytearray = b""
        self.more = True

    async def next(self) -> bytes:
        """The next chunk. RequestTooLarge beyond the limit, Unavailable beyond that of all, ClientLeft at no end."""
        return self._take(await self._receive())

    async def all(self) -> bytes | bytearray:
        """The whole body."""
        while self.more:
            self._take(await self._receive())
        return self.body

    def _take(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        body = self.body
        if len(body) + len(chunk) > self._limit:
            raise RequestTooLarge(self._limit)
        self.hold(len(chunk))
        if not body:
            self.body = chunk
        else:
            if isinstance(body, bytes):
                self.body = body = bytearray(body)
            body += chunk
        return chunk

    def hold(self, size: int) -> None:
        """Count bytes that are held because of this body; Unavailable beyond the limit of all."""
        buffered = self._buffered
        if size > buffered.room:
            buffered.refuse()
        buffered.room -= size
        self._held += size

    def let_go(self) -> None:
        """Drop what has been read: nobody needs it any more."""
        self._buffered.room += self._held
        self._held = 0
        self.body = b""

    def replay(self) -> Receive:
        """A `receive` that yields what was read, then whatever else comes."""
        replayed = False

        async def receive() -> Message:
            nonlocal replayed
            if replayed:
                return await self._receive()
            replayed = True
            return {"type": "http.request", "body": bytes(self.body), "more_body": self.more}

        return receive


class Presence:
    """Ends the `with` block when the client leaves: what it awaits is cancelled, and `left` is true.

    Our own server tells of a disconnect by a callback. Under any other server a task listens on `receive`, from
    `listen()` on: it must not compete with somebody who still reads the body there.
    """

    __slots__ = ("_listener", "_receive", "_subscribe", "_task", "left")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.left = False
        self._receive = receive
        extensions = scope.get("extensions")
        self._subscribe: Subscribe | None = extensions.get(ON_DISCONNECT) if extensions else None
        self._task: asyncio.Task[Any] | None = None
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        if self._subscribe is not None:
            self._subscribe(self._leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._subscribe is not None:
            self._subscribe(None)
        if self._listener is not None:
            self._listener.cancel()
        if not (self.left and kind is asyncio.CancelledError):
            return False
        assert self._task is not None
        return self._task.uncancel() == 0

    def listen(self) -> None:
        """Notice the client leaving from now on; the body has been read."""
        if self._subscribe is None:
            self._listener = asyncio.create_task(self._listen())

    def _leave(self) -> None:
        if not self.left and self._task is not None:
            self.left = True
            self._task.cancel()

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()
