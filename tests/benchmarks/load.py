"""The load generator: a closed loop over kept-alive connections, a process of its own, its result one JSON line.

Run as `python -m tests.benchmarks.load --port P --pid GATEWAY --kinds json --connections 16`.
The CPU time of the gateway is read here while no request is under way: before the first and after the last measured
one.
"""

import asyncio
import dataclasses
import gc
import itertools
import json
import time
from typing import Final, cast

import click
import uvloop

from .measure import percentile, tree_cpu, tree_rss_bytes
from .scanner import AnswerError, AnswerScanner
from .traffic import KINDS, answer_bytes, request

_STALLED: Final = 15.0  # seconds over the planned time after which a run is given up


@dataclasses.dataclass(frozen=True)
class Result:
    """What one measured run gave: times in seconds, sizes in bytes."""

    requests: int
    seconds: float
    user: float
    system: float
    p50: float
    p99: float
    rss_bytes: int

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the gateway's process tree per request."""
        return (self.user + self.system) * 1e6 / self.requests

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Phase:
    """Hands out requests until their number or the time (seconds) is used up; done when each connection has left."""

    def __init__(self, requests: int, seconds: float, connections: int) -> None:
        self._left = requests
        self._busy = connections
        self._deadline = time.perf_counter() + seconds
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, now: float) -> bool:
        """Take one request; False when there is none left, and the connection then waits for the next phase."""
        if self._left > 0 and now < self._deadline:
            self._left -= 1
            return True
        self._busy -= 1
        if not self._busy and not self.done.done():
            self.done.set_result(None)
        return False

    def fail(self, error: Exception) -> None:
        """End the phase with an error, which ends the run."""
        if not self.done.done():
            self.done.set_exception(error)


class Connection(asyncio.Protocol):
    """One client: sends a request when the answer to the one before is complete and right."""

    def __init__(self, port: int, kinds: list[str]) -> None:
        self._turns = itertools.cycle([(request(kind, port), (200, answer_bytes(kind))) for kind in kinds])
        self._scanner = AnswerScanner()
        self._begun = 0.0
        self._phase: Phase | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase:
            self._phase.fail(AnswerError(f"the gateway closed a connection: {exc}"))

    def start(self, phase: Phase) -> None:
        """Begin to send requests of this phase."""
        self._phase = phase
        if self._transport.is_closing():
            phase.fail(AnswerError("the gateway closed a connection before its first request"))
        self._send(phase, time.perf_counter())

    def _send(self, phase: Phase, now: float) -> None:
        if phase.take(now):
            self._begun = now
            data, self._expected = next(self._turns)
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is None:
            return
        try:
            if self._complete(data):
                now = time.perf_counter()
                phase.latencies.append(now - self._begun)
                self._send(phase, now)
        except (AnswerError, ValueError) as error:
            phase.fail(error)

    def _complete(self, data: bytes) -> bool:
        """Take bytes; True when they end the expected answer."""
        answer = self._scanner.feed(data)
        if answer is None:
            return False
        if answer != self._expected:
            raise AnswerError(f"got (status, bytes) {answer}, expected {self._expected}: {data[:300]!r}")
        return True


async def run_phase(clients: list[Connection], requests: int, seconds: float) -> list[float]:
    """Drive all clients until the phase is over; give the sorted latencies in seconds."""
    phase = Phase(requests, seconds, len(clients))
    for client in clients:
        client.start(phase)
    await asyncio.wait_for(phase.done, seconds + _STALLED)
    return sorted(phase.latencies)


async def drive(
    port: int, pid: int, kinds: list[str], connections: int, requests: int, seconds: float, warmup: float
) -> Result:
    """Connect, warm up for `warmup` seconds, then measure so many requests or seconds, whichever ends first."""
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Connection(port, kinds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    if warmup:
        await run_phase(clients, 1 << 60, warmup)
    before, begun = tree_cpu(pid), time.perf_counter()
    latencies = await run_phase(clients, requests, seconds)
    took, used = time.perf_counter() - begun, tree_cpu(pid).since(before)
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    return Result(len(latencies), took, used.user, used.system, p50, p99, tree_rss_bytes(pid))


@click.command()
@click.option("--port", type=int, required=True, help="Where the gateway listens on 127.0.0.1.")
@click.option("--pid", type=int, required=True, help="The gateway's process, for its CPU time and memory.")
@click.option(
    "--kinds", required=True, help=f"Comma list of {', '.join(KINDS)}: what each connection asks for in turn."
)
@click.option("--connections", default=16, show_default=True)
@click.option("--requests", default=1_000_000, show_default=True, help="At most so many measured requests.")
@click.option("--seconds", default=2.0, show_default=True, help="At most so long.")
@click.option("--warmup", default=0.4, show_default=True, help="Seconds that are not measured.")
def main(port: int, pid: int, kinds: str, connections: int, requests: int, seconds: float, warmup: float) -> None:
    """Drive a gateway on loopback and print the result as one line of JSON."""
    gc.disable()
    run = drive(port, pid, kinds.split(","), connections, requests, seconds, warmup)
    try:
        result = uvloop.run(run)
    except (AnswerError, OSError, TimeoutError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    click.echo(json.dumps(dataclasses.asdict(result)))


if __name__ == "__main__":
    main()
