"""The mock engine: one process that answers as 8 pods on 8 ports of 127.0.0.1, about 7 µs a request.

Run as `python -m tests.benchmarks.engine --pods 8`; the first line of its output is the JSON list of its ports.
"""

import asyncio
import functools
import gc
import json
import os
import re
from collections.abc import Iterator
from typing import Final, cast

import click
import uvloop

from .children import raise_descriptor_limit
from .scanner import request_end
from .traffic import MODEL, completion, events, prefilled

_SPACED: Final = re.compile(rb'"spaced-(\d+)"')
_CARD: Final = {
    "id": MODEL,
    "object": "model",
    "created": 1764000000,
    "owned_by": "vllm",
    "root": MODEL,
    "max_model_len": 8192,
}
_PAGES: Final = {
    b"/health": b"",
    b"/v1/models": json.dumps({"object": "list", "data": [_CARD]}).encode(),
    b"/metrics": b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name="bench"} 0\n',
    b"/version": b'{"version":"0.11.0"}',
    b"/get_model_info": json.dumps({"model_path": MODEL, "is_generation": True}).encode(),
    b"/get_server_info": json.dumps({"model_path": MODEL, "served_model_name": MODEL}).encode(),
    b"/server_info": json.dumps({"model_path": MODEL, "served_model_name": MODEL}).encode(),
}
_HEAD: Final = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\n"
_STREAM_HEAD: Final = (
    _HEAD
    + b"cache-control: no-cache\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_CHUNKS: Final = tuple(b"%x\r\n%s\r\n" % (len(event), event) for event in events())
_END: Final = b"0\r\n\r\n"
_STREAM: Final = _STREAM_HEAD + b"".join(_CHUNKS) + _END


def _whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nserver: uvicorn\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n"
    return head % (status, len(body)) + body


_COMPLETION: Final = _whole(completion())
_PREFILLED: Final = _whole(prefilled())


class Pod:
    """What the streams of one pod share: its steps, each of which gives every stream one chunk, as a batch does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: dict[asyncio.Transport, Iterator[bytes]] = {}
        self._stepping = False

    def begin(self, transport: asyncio.Transport, gap: float) -> None:
        """Send the head now, then a chunk with each step; the steps are `gap` seconds apart."""
        transport.write(_STREAM_HEAD)
        self._streams[transport] = iter(_CHUNKS)
        if not self._stepping:
            self._stepping = True
            self._schedule(self._loop.time() + gap, gap)

    def _schedule(self, when: float, gap: float) -> None:
        self._loop.call_at(when, self._step, when, gap)

    def end(self, transport: asyncio.Transport) -> None:
        """Forget a stream whose client has left."""
        self._streams.pop(transport, None)

    def _step(self, now: float, gap: float) -> None:
        for transport, chunks in list(self._streams.items()):
            chunk = next(chunks)
            if chunk is _CHUNKS[-1]:
                del self._streams[transport]
                chunk += _END
            transport.write(chunk)
        self._stepping = bool(self._streams)
        if self._stepping:
            self._schedule(now + gap, gap)


class Engine(asyncio.Protocol):
    """One connection to a pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pod.end(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        while end := request_end(data):
            self._answer(data[:end])
            data = data[end:]
        self._buffer = data

    def _answer(self, request: bytes) -> None:
        if not request.startswith(b"POST"):
            self._transport.write(page(request))
        elif b'"stream":true' not in request and b'"stream": true' not in request:
            self._transport.write(_PREFILLED if b'"do_remote_decode":true' in request else _COMPLETION)
        elif spaced := _SPACED.search(request):
            self._pod.begin(self._transport, int(spaced[1]) / 1000)
        elif b'"split"' in request:
            self._split()
        elif b'"held"' in request:
            self._transport.write(_STREAM_HEAD + _CHUNKS[0])
        else:
            self._transport.write(_STREAM)

    def _split(self) -> None:
        """Send each chunk in a system call of its own, one right after another; the transport would join them."""
        socket = self._transport.get_extra_info("socket").fileno()
        for part in (_STREAM_HEAD, *_CHUNKS, _END):
            os.write(socket, part)


def page(request: bytes) -> bytes:
    """Give the answer to a GET: what a router asks before it accepts an engine."""
    path = request.split(b" ", 2)[1].partition(b"?")[0]
    body = _PAGES.get(path)
    return _whole(b"{}", b"404 Not Found") if body is None else _whole(body)


async def serve(pods: int) -> None:
    """Listen on `pods` free ports, print them as one JSON line, serve until the process is ended."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(functools.partial(Engine, Pod(loop)), "127.0.0.1", 0, backlog=1024)
        for _ in range(pods)
    ]
    click.echo(json.dumps([server.sockets[0].getsockname()[1] for server in servers]))
    gc.disable()
    await asyncio.gather(*(server.serve_forever() for server in servers))


@click.command()
@click.option("--pods", default=8, show_default=True)
def main(pods: int) -> None:
    """Serve the mock engine."""
    raise_descriptor_limit()
    uvloop.run(serve(pods))


if __name__ == "__main__":
    main()
