"""F11: bodies above the limit, by their length and by their bytes."""

import asyncio

import pytest

from tests.faults.raw import CHAT_LINE, PATIENCE, chat, gateway, status_of
from tests.support import Client, Running

LIMIT = 1_000_000


@pytest.mark.parametrize("server", ["ours", "h11"])
async def test_f11_by_its_length_at_once(server):
    async with gateway(server=server, limits={"max_body_bytes": LIMIT, "max_replay_bytes": 1}) as served:
        answer = await served.ask(chat("Connection: close", length=LIMIT + 1, body=""))
        assert (status_of(answer), served.seen) == (413, [])


@pytest.mark.parametrize("server", ["ours", "h11"])
async def test_f11_by_its_chunks(server):
    """The client goes on and on; it is answered as soon as the total passes the limit."""
    head = f"{CHAT_LINE}\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    async with gateway(server=server, limits={"max_body_bytes": LIMIT, "max_replay_bytes": 1}) as served:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(head)
            answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            while not answer.done():
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0)
            assert status_of(await answer) == 413
            writer.transport.abort()
        assert served.seen == []


async def test_f11_no_more_than_a_chunk_beyond_the_limit_is_read():
    chunks = [b" " * 1000] * 100
    async with Running(limits={"max_body_bytes": 10_000, "max_replay_bytes": 1}) as running:
        client = Client(running.gateway, chunks)
        assert (await client.ask()).status == 413
        assert len(client.chunks) == 100 - 11
