"""A raw client's connection: one request at a time, read as fast or as slowly as the client likes."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import httptools

HOST = "127.0.0.1"
_SMALL = 4096
_KEPT = 65536


class Answer:
    """What has come of an answer; `body` are its first and `tail` its last bytes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.tail = b""
        self.size = 0
        self.complete = False
        self.keeps = False
        self.broken = False
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse more bytes; what is no answer is `broken`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.broken = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        if len(self.body) < _KEPT:
            self.body += body
        self.tail = (self.tail + body)[-_SMALL:]

    def on_message_complete(self) -> None:
        self.complete = True
        self.keeps = self._parser.should_keep_alive()


class Line:
    """One connection to the gateway. With `small` buffers whoever does not read is soon noticed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, small: bool = False) -> "Line":
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
        except BaseException:
            sock.close()
            raise
        return cls(*await asyncio.open_connection(sock=sock, limit=_SMALL if small else 65536))

    async def send(self, pieces: list[bytes], pause: float = 0.0) -> None:
        """Write the pieces; who has hung up is noticed when reading."""
        with suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if number and pause:
                    await asyncio.sleep(pause)
                self.writer.write(piece)
                await self.writer.drain()

    async def read(self, answer: Answer, *, pace: float = 0.0, upto: float = float("inf")) -> None:
        """Read until the answer or the connection ends, or `upto` bytes of a body are there."""
        with suppress(ConnectionError):
            while not (answer.complete or answer.broken) and answer.size < upto:
                data = await self.reader.read(_SMALL if pace else 65536)
                if not data:
                    return
                answer.feed(data)
                if pace:
                    await asyncio.sleep(pace)

    def leave(self) -> None:
        """Close at once, whatever is still to be sent or read."""
        self.writer.transport.abort()
