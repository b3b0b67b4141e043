"""Streams that idle take little memory, and leave none behind; 8,000 of them: `make bench-memory`."""

import asyncio
from functools import partial

import pytest

from tests.benchmarks.engine import Engine, Pod
from tests.benchmarks.holding import opened
from tests.benchmarks.measure import tree_rss_bytes
from tests.benchmarks.traffic import MODEL
from tests.e2e.support import Gateway

STREAMS = 300
KIB_EACH = 60
"""8,000 streams may take 820 MiB, and a gateway takes less than 80 by itself: 94 KiB each; 25 are seen."""

pytestmark = pytest.mark.slow


async def grown(gateway) -> float:
    """Open the streams; gives the KiB by which the process has grown for each, and lets them go."""
    before = tree_rss_bytes(gateway.child.pid)
    held = await opened(gateway.port, STREAMS)
    await asyncio.sleep(0)
    assert all(stream.alive for stream in held)
    after = tree_rss_bytes(gateway.child.pid)
    for stream in held:
        stream.close()
    return (after - before) / STREAMS / 1024


async def test_idle_streams_take_little_and_leave_nothing(tmp_path):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Engine, Pod(loop)), "127.0.0.1", 0)
    pod = f"--pod={MODEL}=http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        gateway = await asyncio.to_thread(Gateway, tmp_path, pod)
        try:
            each = [await grown(gateway) for _ in range(4)]
        finally:
            gateway.end()
    assert 0 < each[0] < KIB_EACH
    assert sum(each[1:]) < each[0]
