"""The client of many idle streams, a process of its own, its result one JSON line.

Run as `python -m tests.benchmarks.holding --port P --pid GATEWAY --streams 8000`. It takes the first-byte times of new
requests, each over a connection of its own, before the streams are open and beside them.
"""

import asyncio
import dataclasses
import gc
import json
import time
from typing import Final, Self, cast

import click
import uvloop

from .children import raise_descriptor_limit
from .measure import percentile, tree_cpu, tree_rss_bytes
from .scanner import AnswerError
from .traffic import HELD, request

_AT_ONCE: Final = 100  # streams that wait for their first event together, while they are opened
_RATE: Final = 100  # new requests a second
_PATIENCE: Final = 15.0
_SETTLE: Final = 1.0  # seconds after which what was opened or closed is behind the gateway


@dataclasses.dataclass(frozen=True)
class Held:
    """What streams that idle cost: p99 of first bytes by round, CPU of a request, in seconds; resident bytes."""

    before: list[float]
    beside: list[float]
    cpu_before: float
    cpu_beside: float
    rss_before: int
    rss_beside: int
    rss_after: int
    open: int
    seconds_to_open: float


class Stream(asyncio.Protocol):
    """One request over its own connection: says when the first byte of the answer's body is there, and stays."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._seen = b""
        self.alive = False
        self.first_byte: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @classmethod
    async def begun(cls, port: int, wanted: bytes) -> tuple[Self, float]:
        """Connect, ask, wait for the first byte; gives the stream and the seconds from the request to that byte."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: cls(wanted), "127.0.0.1", port)
        begun = time.perf_counter()
        stream._transport.write(wanted)
        try:
            return stream, await asyncio.wait_for(stream.first_byte, _PATIENCE) - begun
        except BaseException:
            stream.close()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if not self.first_byte.done():
            self.first_byte.set_exception(AnswerError(f"the gateway closed a connection: {exc}, after {self._seen!r}"))

    def data_received(self, data: bytes) -> None:
        if self.first_byte.done():
            return
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if found and not head.startswith(b"HTTP/1.1 200 "):
            self.first_byte.set_exception(AnswerError(f"refused: {self._seen[:300]!r}"))
        elif body:
            self.first_byte.set_result(time.perf_counter())
            self._seen = b""

    def close(self) -> None:
        """Leave."""
        self._transport.abort()


async def opened(port: int, streams: int) -> list[Stream]:
    """Open so many streams, some at a time, and hold them."""
    wanted = request(HELD, port)
    held: list[Stream] = []
    for begin in range(0, streams, _AT_ONCE):
        some = min(_AT_ONCE, streams - begin)
        held += [stream for stream, _ in await asyncio.gather(*(Stream.begun(port, wanted) for _ in range(some)))]
    return held


async def first_bytes(port: int, requests: int) -> float:
    """Ask at an even pace for answers that end at once; give the p99 of their first-byte times in seconds."""
    wanted = request("sse", port)
    begun = time.perf_counter()
    took: list[asyncio.Task[float]] = []
    for number in range(requests):
        await asyncio.sleep(max(0.0, begun + number / _RATE - time.perf_counter()))
        took.append(asyncio.create_task(_one(port, wanted)))
    return percentile(sorted(await asyncio.gather(*took)), 0.99)


async def measured(port: int, pid: int, rounds: int, requests: int) -> tuple[list[float], float]:
    """Give the p99 of each round, and the CPU seconds of the gateway's process tree per request."""
    used = tree_cpu(pid)
    p99s = [await first_bytes(port, requests) for _ in range(rounds)]
    return p99s, tree_cpu(pid).since(used).total / (rounds * requests)


async def _one(port: int, wanted: bytes) -> float:
    stream, seconds = await Stream.begun(port, wanted)
    stream.close()
    return seconds


async def hold(port: int, pid: int, streams: int, rounds: int, requests: int) -> Held:
    """Measure before and beside so many idle streams."""
    await first_bytes(port, requests)
    before, cpu_before = await measured(port, pid, rounds, requests)
    rss_before = tree_rss_bytes(pid)
    begun = time.perf_counter()
    held = await opened(port, streams)
    seconds = time.perf_counter() - begun
    await asyncio.sleep(_SETTLE)
    beside, cpu_beside = await measured(port, pid, rounds, requests)
    rss_beside, alive = tree_rss_bytes(pid), sum(stream.alive for stream in held)
    for stream in held:
        stream.close()
    await asyncio.sleep(_SETTLE)
    rss = (rss_before, rss_beside, tree_rss_bytes(pid))
    return Held(before, beside, cpu_before, cpu_beside, *rss, alive, seconds)


@click.command()
@click.option("--port", type=int, required=True, help="Where the gateway listens on 127.0.0.1.")
@click.option("--pid", type=int, required=True, help="The gateway's process, for its memory.")
@click.option("--streams", default=8000, show_default=True)
@click.option("--rounds", default=8, show_default=True)
@click.option("--requests", default=250, show_default=True, help="New requests in a round.")
def main(port: int, pid: int, streams: int, rounds: int, requests: int) -> None:
    """Hold streams that idle before a gateway on loopback and print the result as one line of JSON."""
    gc.disable()
    raise_descriptor_limit()
    try:
        result = uvloop.run(hold(port, pid, streams, rounds, requests))
    except (AnswerError, OSError, TimeoutError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    click.echo(json.dumps(dataclasses.asdict(result)))


if __name__ == "__main__":
    main()
