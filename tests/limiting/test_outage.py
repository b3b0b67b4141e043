"""The store dies, hangs and comes back under load: requests go on, and counting returns by itself."""

import asyncio
import signal
import time
from statistics import median

import pytest

from tests.limiting.support import hourly, take
from tests.support import Running, until

pytestmark = pytest.mark.slow

RATE, TICK = 500, 0.01
TIMEOUT = 0.05
TYPICAL = 0.005
SLACK = 0.15  # seconds for what a request itself takes, and for short turns of others on the machine


class Load:
    """So many requests a second, until the end of the block; `late` is what others on the machine held it up by."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.waits, self.statuses = [], []
        self.late = 0.0

    async def one(self):
        began = time.perf_counter()
        reply = await self.gateway.ask()
        self.waits.append(time.perf_counter() - began)
        self.statuses.append(reply.status)

    async def run(self):
        async with asyncio.TaskGroup() as group:
            while True:
                for _ in range(int(RATE * TICK)):
                    group.create_task(self.one())
                began = time.perf_counter()
                await asyncio.sleep(TICK)
                self.late = max(self.late, time.perf_counter() - began - TICK)

    async def __aenter__(self):
        self.task = asyncio.ensure_future(self.run())
        return self

    async def __aexit__(self, *_error):
        self.task.cancel()
        await asyncio.wait([self.task])


def gateway_over(url, policy):
    config = {"profiles": {"default": {"requestsPerSecond": 1_000_000}}}
    running = Running(config=config, store={"url": url, "timeout": TIMEOUT}, rate_limit={"on_store_error": policy})
    running.gateway.counting.limiter.breaker.pause = 0.1
    return running


@pytest.mark.parametrize("policy", ["local", "open", "refuse"])
@pytest.mark.parametrize("way", ["killed", "hanging"])
async def test_under_load(servers, policy, way):
    """F55, F57."""
    server = servers()
    port = server.port
    async with gateway_over(server.connection_url, policy) as gateway, Load(gateway) as load:
        limiter = gateway.gateway.counting.limiter
        await until(lambda: len(load.waits) > 100)
        assert set(load.statuses) == {200}
        usual = median(load.waits)
        if way == "killed":
            server.stop()
        else:
            server._process.send_signal(signal.SIGSTOP)
        await until(lambda: limiter.away)
        at = len(load.waits)
        await until(lambda: len(load.waits) > at + 200)
        added = median(load.waits[at:]) - usual
        if way == "killed":
            servers(port)
        else:
            server._process.send_signal(signal.SIGCONT)
        await until(lambda: limiter.away is None)
        at = len(load.waits)
        await until(lambda: len(load.waits) > at + 100)
        assert (await take(limiter, hourly())).counter is limiter.windows
    assert set(load.statuses) == ({200, 503} if policy == "refuse" else {200})
    assert max(load.waits) < TIMEOUT + load.late + SLACK
    assert added < TYPICAL + load.late
    assert limiter.store_errors >= 200
