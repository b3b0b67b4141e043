"""What clients and engines see of a served gateway on the wire: raw sockets on both sides of the process."""

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.e2e.support import CHAT, Gateway, chat, eventually
from tests.upstream.conftest import black_hole as black_hole
from tests.upstream.raw_engine import RawEngine, answering, silent

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST_EVENT = b"9\r\ndata: 1\n\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
FORM_START = (
    b'--xyz\r\ncontent-disposition: form-data; name="model"\r\n\r\nmy-model\r\n'
    b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF'
)
FORM_HEADERS = b"content-type: multipart/form-data; boundary=xyz\r\n"


def request(body=b"", path=CHAT, headers=b"", length=None):
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {length or len(body)}\r\n".encode()
    return head + headers + b"\r\n" + body


@pytest.fixture
async def front(run):
    """A gateway before raw engines that run these scripts; the engines and a function that starts the gateway."""
    async with AsyncExitStack() as stack:

        async def front(*scripts):
            engines = [await stack.enter_async_context(RawEngine(script)) for script in scripts]
            pods = [f"--pod=my-model=http://{engine.address.netloc}" for engine in engines]
            return await asyncio.to_thread(run, *pods, kind=Gateway), engines

        yield front


@asynccontextmanager
async def connected(gateway, data):
    """A client's connection on which these bytes have been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    try:
        yield reader, writer
    finally:
        writer.close()


async def in_flight(http, gateway):
    status = (await http.get(f"{gateway.admin_url}/status.json")).json()
    return [pod["in_flight"] for pod in status["models"]["my-model"]["pods"]]


# --- clients that leave


async def seconds_until_the_engine_knows(gateway, engine, number, sent, ready):
    """How long after the client's end its request on the engine ends."""
    async with connected(gateway, sent) as (reader, writer):
        peer = await engine.peer(number)
        await ready(peer, reader)
        writer.close()
        left = time.monotonic()
        await asyncio.wait_for(peer.gone.wait(), 5)
        return time.monotonic() - left


async def arrived(peer, _reader):
    await peer.arrived.wait()


async def streaming(_peer, reader):
    await reader.readuntil(b"data: 1\n\n")


async def endless(peer):
    await peer.request()
    await peer.send(EVENTS, FIRST_EVENT)
    await peer.until_gone()


async def half_read(peer):
    await peer.head()
    peer.arrived.set()
    await peer.until_gone()


@pytest.mark.parametrize(
    ("script", "sent", "ready"),
    [
        (half_read, request(FORM_START, "/v1/audio/transcriptions", FORM_HEADERS, 1_000_000), arrived),
        (silent, request(json.dumps(chat()).encode()), arrived),
        (endless, request(json.dumps(chat(stream=True)).encode()), streaming),
    ],
    ids=["reading the body", "waiting", "streaming"],
)
async def test_f37_the_engine_knows_within_100_ms(front, script, sent, ready):
    gateway, (engine,) = await front(script)
    # the machine may be busy with other tests: one quiet moment of five will do
    seconds = [await seconds_until_the_engine_knows(gateway, engine, n, sent, ready) for n in range(5)]
    assert min(seconds) < 0.1
    async with httpx.AsyncClient() as http:
        assert await in_flight(http, gateway) == [0]


async def test_f37_while_connecting(run, black_hole):
    gateway = run(f"--pod=my-model=http://{black_hole.netloc}", kind=Gateway, AIBRIX_MW_UPSTREAM__CONNECT_TIMEOUT="60")
    async with httpx.AsyncClient() as http:

        async def connecting():
            return await in_flight(http, gateway) == [1]

        async def none():
            return await in_flight(http, gateway) == [0]

        seconds = []
        for _ in range(5):  # one quiet moment of five will do
            async with connected(gateway, request(json.dumps(chat()).encode())):
                await eventually(connecting, "a request in flight")
            left = time.monotonic()
            await eventually(none, "no request in flight", 1)
            seconds.append(time.monotonic() - left)
        assert min(seconds) < 0.1


async def test_a_body_that_never_ends_reaches_no_engine(front):
    gateway, (engine,) = await front(silent)
    async with httpx.AsyncClient() as http:
        async with connected(gateway, request(b'{"model": "my-model"', length=1000)):
            await http.get(f"{gateway.url}/healthz")
        assert await in_flight(http, gateway) == [0]
    assert engine.peers == []


# --- engines that die


async def test_dead_behind_its_head_another_pod_answers(front):
    gateway, engines = await front(answering(EVENTS, then_close=True), answering(ANSWER, ANSWER, ANSWER))
    async with httpx.AsyncClient() as http:
        for _ in range(3):
            answer = await http.post(gateway.url + CHAT, json=chat(stream=True))
            assert (answer.status_code, answer.content) == (200, b"{}")
            assert answer.headers["target-pod-ip"] == engines[1].address.netloc


async def test_dead_in_the_middle_the_client_is_told(front):
    gateway, _ = await front(answering([EVENTS + FIRST_EVENT], then_close=True))
    async with connected(gateway, request(json.dumps(chat(stream=True)).encode())) as (reader, _writer):
        seen = await asyncio.wait_for(reader.read(), 10)
    body = seen.partition(b"\r\n\r\n")[2]
    assert body.startswith(FIRST_EVENT)
    assert b'\ndata: {"error":{"message":"the engine closed the connection"' in body
    assert b"[DONE]" not in body
    assert not body.endswith(b"0\r\n\r\n")


# --- many at once


async def test_64_at_once_over_4_pods_are_16_each_ten_times_in_a_row(front):
    waiting, full = Counter(), asyncio.Event()

    async def together(peer):
        while True:
            await peer.request()
            waiting[peer.writer.get_extra_info("sockname")] += 1
            if waiting.total() == 64:
                full.set()
            await full.wait()
            await peer.send(ANSWER)

    gateway, _ = await front(*[together] * 4)
    body = request(json.dumps(chat()).encode())

    async def status(reader, writer):
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n{}")
        return head.partition(b"\r\n")[0]

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(gateway, b"")) for _ in range(64)]
        for _ in range(10):
            waiting.clear()
            full.clear()
            assert set(await asyncio.gather(*(status(*client) for client in clients))) == {b"HTTP/1.1 200 OK"}
            assert sorted(waiting.values()) == [16] * 4
