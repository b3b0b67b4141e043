"""Small questions to engines beside the inference path."""

import socket

import pytest

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Upstream
from aibrix_mw.upstream.fetch import Fetch
from tests.upstream.asking import CHUNKED, OK
from tests.upstream.conftest import Engines
from tests.upstream.raw_engine import answering, silent


async def test_a_get_without_a_body(upstream: Upstream, run: Engines):
    engine = await run(answering(OK, CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
    fetch = Fetch(upstream, 5.0)
    assert await fetch(engine.address, b"/metrics") == b"ok"
    assert await fetch(engine.address, b"/metrics") == b"abcde"
    ((first, second),) = engine.requests  # on one connection
    netloc = engine.address.netloc.encode()
    assert first == b"GET /metrics HTTP/1.1\r\nhost: " + netloc + b"\r\naccept: text/plain\r\ncontent-length: 0\r\n\r\n"
    assert second == first


@pytest.mark.parametrize("status", [b"404 Not Found", b"500 Internal Server Error", b"204 No Content"])
async def test_what_is_no_200_is_no_answer(upstream: Upstream, run: Engines, status: bytes):
    engine = await run(answering(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"))
    with pytest.raises(UpstreamError, match="the engine answered " + status[:3].decode()):
        await Fetch(upstream, 5.0)(engine.address, b"/metrics")


async def test_answers_are_bounded(upstream: Upstream, run: Engines):
    engine = await run(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000))
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        await Fetch(upstream, 5.0, max_bytes=1000)(engine.address, b"/metrics")


async def test_a_slow_engine(upstream: Upstream, run: Engines):
    engine = await run(silent)
    with pytest.raises(UpstreamTimeout, match=r"scrape\.timeout"):
        await Fetch(upstream, 0.05)(engine.address, b"/metrics")


async def test_nobody_there(upstream: Upstream):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UpstreamError, match="cannot be reached"):
        await Fetch(upstream, 5.0)(Address("127.0.0.1", port), b"/metrics")
