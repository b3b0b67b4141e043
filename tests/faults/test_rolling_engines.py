"""All engines of a model are replaced one after the other under load, as the chart's rollout does it; nobody notices.

The gateway is a process that watches an API server, the engines are processes, and the test is controller and kubelet.
"""

import asyncio
import signal

import httpx
import pytest

from tests.e2e.support import Engine, Gateway, eventually, readiness
from tests.faults.steady import REQUESTS, Steady

ENGINES = 3
LOAD_SECONDS = 2.0
PRE_STOP = 1.0
TOKENS_PER_SECOND = 100
LONG = 3
"""Seconds of every tenth stream: it is still under way when its engine hears SIGTERM."""

pytestmark = pytest.mark.slow


class EnginePod:
    """A pod of one engine; what its kubelet does for it."""

    def __init__(self, cluster, folder, name) -> None:
        self.cluster, self.folder, self.name = cluster, folder, name

    async def start(self) -> None:
        """Run it, and say that it is Ready once it has loaded its model."""
        pace = ("--decode-tokens-per-second", str(TOKENS_PER_SECOND), "--max-running", "256")
        options = (*pace, "--load-seconds", str(LOAD_SECONDS))
        self.engine = await asyncio.to_thread(Engine, self.folder, self.name, *options)
        await self.cluster.pod(self.name, "my-model", ready=False, port=str(self.engine.port))
        async with httpx.AsyncClient(base_url=self.engine.url) as http:
            assert (await http.get("/health")).status_code == 503
            await eventually(lambda: loaded(http), "loaded")
        await self.cluster.set_ready(self.name, True)

    async def stop(self):
        """Delete it: preStop, SIGTERM, and gone when it has ended; whether it had streams to finish at SIGTERM."""
        await self.cluster.remove(self.name, grace=60)
        await asyncio.sleep(PRE_STOP)
        async with httpx.AsyncClient(base_url=self.engine.url) as http:
            busy = (await http.get("/sim/state")).json()["running"] > 0
        self.engine.signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.engine.ended) == 0
        await self.cluster.remove(self.name)
        return busy


async def loaded(http: httpx.AsyncClient) -> bool:
    """The kubelet's question; it believes the first answer that is 200."""
    return (await http.get("/health")).status_code == 200


async def roll(old, new):
    """maxSurge 1, maxUnavailable 0: one more is Ready before one goes; a pod that terminates holds up nobody."""
    stopping = []
    for before, after in zip(old, new, strict=True):
        await after.start()
        stopping.append(asyncio.ensure_future(before.stop()))
    return await asyncio.gather(*stopping)


async def test_every_engine_restarts_in_turn(tmp_path, small_cluster):
    generations = [[EnginePod(small_cluster, tmp_path, f"{age}-{n}") for n in range(ENGINES)] for age in ("old", "new")]
    old, new = generations
    gateway = None
    try:
        await asyncio.gather(*(pod.start() for pod in old))
        watching = ("--kubernetes", "--kubeconfig", small_cluster.through_wire())
        gateway = await asyncio.to_thread(Gateway, tmp_path, *watching, "--namespace", small_cluster.namespace)
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            await eventually(lambda: ready(http), "ready")
        rolled = asyncio.Event()
        steady = Steady(gateway.url, lambda number: 10 if number % 10 else LONG * TOKENS_PER_SECOND)
        loading = asyncio.ensure_future(steady.run(rolled))
        await asyncio.sleep(LONG)  # the load is what passes the time
        busy = await roll(old, new)
        rolled.set()
        await loading
    finally:
        for process in [gateway, *(pod.engine for pod in (*old, *new) if hasattr(pod, "engine"))]:
            if process is not None:
                process.end()
    assert set(steady.ends) == {"ok"}, steady.ends
    assert steady.ends["ok"] >= REQUESTS
    assert busy == [True] * ENGINES
    assert set(steady.pods) == {pod.name for pod in (*old, *new)}


async def ready(http: httpx.AsyncClient) -> bool:
    return await readiness(http) == 200
