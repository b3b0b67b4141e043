"""F31, F32, F34, F39 to F41: what a whole gateway does when there is too much, or nobody to do it."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from aibrix_mw.strategies.power_of_two import PowerOfTwo
from tests.e2e.support import Gateway
from tests.faults.raw import PATIENCE, chat
from tests.support import Client, FakeAnswer, Running, ask_for, info, make_pods, settle, until
from tests.upstream.raw_engine import RawEngine
from tests.upstream.test_pressure import settled
from tests.virtual_time import VirtualLoop

MIB = 1 << 20
READERS = 20


@pytest.mark.parametrize("status", [400, 429])
async def test_f31_a_thousand_client_errors_eject_nobody(status):
    async with Running(lambda _: FakeAnswer(b"{}", status=status), pods=4) as running:
        for _ in range(1000):
            assert (await running.ask()).status == status
        assert running.gateway.choosing.admission.ejection.ejected() == []


async def timed(running):
    """A reply, and how many seconds of our own time it took: the processor's, so that neighbours do not count."""
    began = time.process_time()
    reply = await running.ask()
    return reply, time.process_time() - began


async def test_f32_no_pod_is_said_at_once_and_costs_nothing():
    config = {"profiles": {"default": {"requestsPerSecond": 5}}}
    async with Running(pods=[info(1, excluded="not_ready")], config=config) as running:
        took = []
        for _ in range(20):
            reply, seconds = await timed(running)
            took.append(seconds)
            assert (reply.status, reply.header("x-error-no-model-backends")) == (503, b"true")
            assert reply.header("x-ratelimit-limit-requests") is None
        assert max(took) < 0.01
        assert {key[3] for key in await running.outcomes()} == {"no_ready_pods"}  # and not limited: nothing was taken


def test_f34_a_slow_pod_gets_less_than_half():
    """Requests end in turn; those of one pod take four times as long."""
    pods, strategy = make_pods(8), PowerOfTwo(Random(1))
    ends, chosen = [], dict.fromkeys(pods, 0)
    for now in range(10_000):
        for at, pod in ends:
            pod.in_flight -= at <= now
        ends = [end for end in ends if end[0] > now]
        pod = strategy.pick(ask_for(), pods).pod
        pod.in_flight += 1
        chosen[pod] += 1
        ends.append((now + (160 if pod is pods[0] else 40), pod))
    fair = 10_000 / 8
    assert chosen[pods[0]] < fair / 2


async def test_f39_fifty_above_the_cap():
    """Who is above is refused in less than 20 ms of our own time; who is below notices nothing."""
    go = asyncio.Event()
    async with Running(lambda _: FakeAnswer(go, b"{}"), limits={"max_in_flight": 100}) as running:
        below = [Client(running.gateway).start() for _ in range(100)]
        await settle(20)
        took = []
        for _ in range(50):
            reply, seconds = await timed(running)
            took.append(seconds)
            assert (reply.status, reply.header("retry-after")) == (503, b"2")
        assert max(took) < 0.02
        assert not any(task.done() for task in below)
        go.set()
        assert [reply.status for reply in await asyncio.gather(*below)] == [200] * 100


async def test_f40_twenty_clients_that_do_not_read(tmp_path):
    """Each is owed 64 MiB: what waits is in the kernel and in the engine, which is not read."""

    async def flood(peer):
        await peer.request()
        peer.sent = 0
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
        await peer.flood(64 * MIB)

    async with RawEngine(flood) as engine:
        served = await asyncio.to_thread(Gateway, tmp_path, f"--pod=m=http://{engine.address.netloc}")
        try:
            before, writers = resident(served), []
            async with asyncio.timeout(PATIENCE * 3):
                for _ in range(READERS):
                    _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
                    writer.write(chat())
                    writers.append(writer)
                await until(lambda: len(engine.peers) == READERS)
                sent = await asyncio.gather(*map(settled, engine.peers))
            assert max(sent) < 32 * MIB
            assert resident(served) - before < 16 * MIB
            for writer in writers:
                writer.transport.abort()
        finally:
            served.end()


def resident(served):
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{served.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


class OwnTime(VirtualLoop):
    """A loop for which time passes while it waits and while it works, and not while others have the processor."""

    def time(self):
        return super().time() + time.thread_time()


def test_f41_who_is_let_in_is_served_as_ever():
    """Each request keeps the loop busy for 4 ms and an engine for 2 s: twice what one process can do is offered."""
    with asyncio.Runner(loop_factory=OwnTime) as runner:
        took, refused = runner.run(overloaded(busy=0.004, engine=2.0, rate=500))
    assert set(refused) == {b"2"}
    assert len(took) > 100
    assert sorted(took)[len(took) * 99 // 100] < 2 * 2.004


async def overloaded(busy, engine, rate):
    """Seconds that requests took that were served, and the others' retry-after, of two seconds' worth of requests."""
    loop = asyncio.get_running_loop()
    took, refused = [], []

    def script(_request):
        until = loop.time() + busy
        while loop.time() < until:
            pass
        answered = asyncio.Event()
        loop.call_later(engine, answered.set)
        return FakeAnswer(answered, b"{}")

    async def one(running, arrived):
        reply = await running.ask()
        if reply.status == 200:
            took.append(loop.time() - arrived)
        else:
            refused.append(reply.header("retry-after"))

    async with Running(script, pods=4) as running:
        began, tasks = loop.time(), []
        while len(tasks) < 2 * rate:
            while len(tasks) < (loop.time() - began) * rate:
                tasks.append(asyncio.ensure_future(one(running, began + len(tasks) / rate)))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)
    return took, refused
