"""Many pods: how long the first list takes, what it and each event cost the event loop, and that no event is lost."""

import asyncio
import gc
import resource
import time
from pathlib import Path

import coverage
import pytest
import yaml

from tests.support import until

PODS, MODELS, STORM = 5000, 500, 500
SLOWER = 5 if coverage.Coverage.current() else 1  # what counts lines is not what is measured
TEMPLATE = yaml.safe_load((Path(__file__).parents[2] / "data" / "pods-kubectl.yaml").read_text())["items"][0]


class Turns:
    """CPU seconds of this thread between two turns of the loop: stalls that no neighbour on the machine causes."""

    def __init__(self):
        self.longest = 0.0
        self._task = asyncio.ensure_future(self._measure())

    async def _measure(self):
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - last)
            last = now

    async def stop(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.longest


def resident():
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def ready_pods(seen):
    return sum(served.model == name and len(served.pods) for name, served in seen.registry.names().items())


@pytest.fixture
async def filled(small_cluster):
    fill = {"template": TEMPLATE, "namespace": small_cluster.namespace, "pods": PODS, "models": MODELS}
    await small_cluster.control(fill=fill)
    return small_cluster


async def test_five_thousand_pods(filled, discover, figure):
    gc.collect()
    before, turns = resident(), Turns()
    begun = time.monotonic()
    seen = await discover(filled, wait=False)
    while seen.pods.not_ready() is not None:
        assert time.monotonic() - begun < 5 * SLOWER
        await asyncio.sleep(0.005)
    took, stall, growth = time.monotonic() - begun, await turns.stop(), resident() - before
    assert ready_pods(seen) == PODS
    assert len(seen.registry.models()) == MODELS
    await until(lambda: seen.pods.age() == 0)
    spent, each = await _storm(filled, seen)
    figure(f"ready in {took:.2f} s, longest turn {stall * 1000:.1f} ms, {growth / 2**20:.0f} MiB more")
    figure(f"storm of {STORM} known in {spent:.2f} s, {each * 1e6:.0f} µs of the loop each")
    assert stall < 0.05 * SLOWER
    assert growth < 100 * 2**20
    assert each < 0.001 * SLOWER
    assert spent < 1 * SLOWER


async def _storm(cluster, seen):
    """Seconds until every change is known, and CPU seconds of this thread for each."""
    begun, cpu = time.monotonic(), time.thread_time()
    await cluster.control(storm={"namespace": cluster.namespace, "changes": STORM})
    await until(lambda: ready_pods(seen) == PODS - STORM)
    return time.monotonic() - begun, (time.thread_time() - cpu) / STORM


async def test_a_storm_loses_nothing(cluster, discover):
    """Changes as fast as the API server takes them, against any API server."""
    names = [f"pod-{number}" for number in range(100)]
    await asyncio.gather(*(cluster.pod(name) for name in names))
    seen = await discover(cluster)
    turned = names[::2]
    await asyncio.gather(*(cluster.set_ready(name, False) for name in names))
    await asyncio.gather(*(cluster.set_ready(name, True) for name in turned))
    await seen.sees(*turned)
    assert seen.registry.churn.transitions == {("m", "not_ready"): 100, ("m", "ready"): 50}
