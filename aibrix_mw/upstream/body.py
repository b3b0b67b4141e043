"""The body of a request in pieces: what both upstreams send when it is large or not yet complete."""

from collections.abc import AsyncGenerator, AsyncIterator

from aibrix_mw.upstream.base import EngineRequest

SLICE_BYTES = 262144


async def pieces(request: EngineRequest) -> AsyncGenerator[bytes | memoryview, None]:
    """The body in slices of the buffer that holds it, then the rest as it comes; none of them empty."""
    body = memoryview(request.body)
    for at in range(0, len(body), SLICE_BYTES):
        yield body[at : at + SLICE_BYTES]
    if request.rest is None:
        return
    rest = request.rest if request.length is None else _exactly(request.length - len(body), request.rest)
    async for data in rest:
        if data:
            yield data


async def _exactly(size: int, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What the source yields; bytes beyond the announced length could be read as another request."""
    async for data in source:
        size -= len(data)
        if size < 0:
            break
        yield data
    if size:
        raise ValueError("the body is not as long as announced")


async def in_chunks(parts: AsyncIterator[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    """The parts in HTTP/1.1's chunked coding, end included; none of them empty."""
    async for part in parts:
        yield b"".join((b"%x\r\n" % len(part), part, b"\r\n"))
    yield b"0\r\n\r\n"
