"""An engine made of raw bytes: a scripted server over a real socket that records what it sees."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ssl import SSLContext
from typing import Self, cast

from aibrix_mw.pods.pod import Address

Script = Callable[["Peer"], Awaitable[None]]
PIECE = bytes(65536)


class Peer:
    """One connection, as the engine sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.sent = 0
        self._rest = bytearray()

    # --- what comes in

    async def head(self) -> bytes:
        """Read up to the empty line."""
        return await self._through(b"\r\n\r\n")

    async def request(self) -> bytes:
        """Read one whole request and record it."""
        head = await self.head()
        self.arrived.set()
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            body = await self._through(b"\r\n0\r\n\r\n")
        else:
            body = await self._take(int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))
        self.requests.append(head + body)
        return self.requests[-1]

    async def discard(self, size: int) -> None:
        """Read that many bytes and forget them."""
        size -= len(self._rest)
        self._rest.clear()
        while size > 0 and (data := await self.reader.read(min(size, 262144))):
            size -= len(data)

    def stop_reading(self) -> None:
        """Take nothing more from the kernel."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    async def until_gone(self) -> None:
        """Wait until the other side has closed."""
        with suppress(OSError):
            while data := await self.reader.read(65536):
                self._rest += data
        self.gone.set()

    async def _through(self, end: bytes) -> bytes:
        while end not in self._rest:
            await self._more()
        return await self._take(self._rest.index(end) + len(end))

    async def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            await self._more()
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken

    async def _more(self) -> None:
        data = await self.reader.read(65536)
        if not data:
            self.gone.set()
            raise ConnectionError("no request")
        self._rest += data

    # --- what goes out

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a segment of its own: the loop turns, so that the other side reads it before the next."""
        for piece in pieces:
            if self.writer.is_closing():
                raise ConnectionError("closed")
            self.writer.write(piece)
            await self.writer.drain()
            self.sent += len(piece)
            for _ in range(2 if len(pieces) > 1 else 0):
                await asyncio.sleep(0)

    async def flood(self, size: int) -> None:
        """Send that many bytes as fast as they are read; `sent` tells how far it got."""
        while self.sent < size:
            await self.send(PIECE[: size - self.sent])

    def close(self) -> None:
        """End the connection in order."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class RawEngine:
    """Runs one script per connection; what a script raises fails the test."""

    def __init__(self, script: Script, buffer_bytes: int | None = None, tls: SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._buffer_bytes = buffer_bytes
        self._tasks: list[asyncio.Task[None]] = []
        self._change = asyncio.Event()
        self.peers: list[Peer] = []

    async def __aenter__(self) -> Self:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio sets no-delay
        sock.bind(("127.0.0.1", 0))
        if self._buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        limit = self._buffer_bytes or 65536
        self._server = await asyncio.start_server(self._connected, sock=sock, limit=limit, ssl=self._tls)
        self.address = Address("127.0.0.1", sock.getsockname()[1], self._tls is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task, peer in zip(self._tasks, self.peers, strict=True):
            task.cancel()
            peer.writer.transport.abort()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)
        faults = [fault for fault in outcomes if isinstance(fault, Exception)]
        if faults:
            raise faults[0]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._tasks.append(asyncio.ensure_future(self._run(peer)))
        self._change.set()

    async def _run(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except OSError:
            peer.gone.set()

    async def peer(self, number: int = 0) -> Peer:
        """Wait for the connection with this number."""
        while len(self.peers) <= number:
            self._change.clear()
            await self._change.wait()
        return self.peers[number]

    @property
    def requests(self) -> list[list[bytes]]:
        """The requests of each connection."""
        return [peer.requests for peer in self.peers]


def answering(*answers: bytes | Sequence[bytes], then_close: bool = False) -> Script:
    """Answer requests in order, an answer of several pieces piece by piece; then wait, or close."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(*([answer] if isinstance(answer, bytes) else answer))
        if then_close:
            peer.close()
        await peer.until_gone()

    return script


def in_turn(*scripts: Script) -> Script:
    """Another script for each connection; the last one for all that follow."""
    remaining = list(scripts)

    async def script(peer: Peer) -> None:
        await (remaining.pop(0) if len(remaining) > 1 else remaining[0])(peer)

    return script


async def silent(peer: Peer) -> None:
    """Read requests and never answer."""
    with suppress(OSError):
        while True:
            await peer.request()
