"""The seam to the engines: send one request to one address, get status, headers and chunks."""

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import msgspec

from aibrix_mw.errors import Headers
from aibrix_mw.pods.pod import Address

Body = bytes | bytearray


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds; the keys of `upstream` in the settings, which a profile's `timeouts` may replace."""

    connect_timeout: float = 1.0
    first_byte_timeout: float = 300.0
    response_timeout: float = 600.0
    idle_timeout: float = 300.0
    prefill_timeout: float = 60.0


class Timers(msgspec.Struct, frozen=True):
    """How long one exchange may take.

    `until` is a moment of the event loop's clock, `timer` the setting it comes from (`first_byte_timeout`,
    `response_timeout` or `prefill_timeout`); with `whole` it bounds the answer to its last byte, else to its first body
    byte. `connect` and `idle` (between bytes after the first) are seconds.
    """

    until: float
    timer: str
    whole: bool
    connect: float = 1.0
    idle: float = 300.0


class EngineRequest(msgspec.Struct, frozen=True):
    """One HTTP request to an engine, a POST unless `method` says otherwise.

    `target` is path and query, `headers` end-to-end headers without framing, in order. `rest` yields what follows
    `body`; its total length is then unknown unless `length` says it. With `reuse` the request may travel on a
    connection kept alive, and once more on a fresh one when that turns out closed before any byte of an answer.
    """

    address: Address
    host: bytes
    target: bytes
    headers: Headers
    body: Body
    rest: AsyncIterator[bytes] | None = None
    length: int | None = None
    reuse: bool = True
    method: bytes = b"POST"


class Answer(Protocol):
    """An engine's answer; its head is complete, its body arrives."""

    status: int
    headers: list[tuple[bytes, bytes]]

    @property
    def ended(self) -> bool:
        """Whether all bytes have been read and the end is known: the last chunk and the end may come together."""
        ...

    async def read(self) -> bytes:
        """The bytes that have arrived since the last call, at least one; b"" at the end.

        UpstreamError when the engine fails, UpstreamTimeout when a timer runs out.
        """
        ...

    def close(self) -> None:
        """Let go: the exchange is aborted unless it has ended. May be called at any time, any number of times."""
        ...


class Upstream(Protocol):
    """A client of engines."""

    def send(self, request: EngineRequest, timers: Timers) -> Awaitable[Answer]:
        """Send a request and wait for the head of the answer; UpstreamError when there is none.

        Cancelling aborts the exchange: the engine sees its connection close.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
