"""The load generator: `python -m aibrix_mw.sizing.generator`, orders on its input, progress and steps on its output.

A process of its own, so that nothing else takes its turn. It measures how late it was and what it used of its core;
whoever ordered the step judges that before the step itself.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from random import Random

import msgspec
import uvloop

from aibrix_mw.sizing.client import Client, Flight
from aibrix_mw.sizing.orders import Alone, Done, Load, Order, Progress, Setup, Tell
from aibrix_mw.sizing.records import Punctuality, Step, quantile
from aibrix_mw.sizing.schedule import Plan, arrivals
from aibrix_mw.sizing.watch import Watch
from aibrix_mw.upstream.http1 import Http1Upstream
from aibrix_mw.upstream.schemes import SchemeUpstream

TICK = 0.25
"""Seconds between two looks at a step under way."""
_LEAD = 0.05
"""Seconds before the first request, so that it is not late because the others are being scheduled."""
ALONE = Plan(rate=0.0, warm_up=0.0, measured=1e9)


async def alone(order: Alone, client: Client, bodies: Iterator[bytes], tell: Tell) -> Step:
    """One request after the other."""
    start = client.clock()
    flights: list[Flight] = []
    while len(flights) < order.count and client.clock() - start < order.seconds:
        flight = Flight(client.clock())
        flights.append(flight)
        await client.ask(flight, next(bodies), order.patience)
        tell(Progress(client.clock() - start, 0, len(flights), sum(bool(flight.error) for flight in flights)))
    now = client.clock()
    return Step(ALONE, [flight.record(now, start) for flight in flights], now - start)


class Volley:
    """One step of open-loop load under way."""

    def __init__(self, order: Load, client: Client, bodies: Iterator[bytes]) -> None:
        self.order = order
        self.client = client
        self.bodies = chain([next(bodies)], bodies)  # the first one takes its time, which is not to be the step's
        self.flights: list[Flight] = []
        self._loop = asyncio.get_running_loop()
        self._start = client.clock() + _LEAD
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []

    async def run(self, tell: Tell, cpu: Callable[[], float]) -> Step:
        """Send everything when it is due; ends with the last answer that counts, or when it is pointless to go on."""
        before, now = cpu(), self.client.clock()
        self._timers = [
            self._loop.call_later(self._start + due - now, self._launch, self._start + due)
            for due in arrivals(self.order.plan, Random(self.order.seed))
        ]
        watch = Watch(self.order, self._start)
        try:
            while not watch.over(self.flights, self.client.clock()):
                await asyncio.sleep(TICK)
                tell(watch.progress)
        finally:
            await self._cut()
        now = self.client.clock()
        seconds = now - self._start
        late = [flight.sent - flight.due for flight in self.flights]
        punctuality = Punctuality(max(quantile(late, 0.95), 0.0) if late else 0.0, (cpu() - before) / seconds)
        records = [flight.record(now, self._start) for flight in self.flights]
        return Step(self.order.plan, records, seconds, punctuality, watch.stopped)

    def _launch(self, due: float) -> None:
        flight = Flight(due)
        self.flights.append(flight)
        task = self._loop.create_task(self.client.ask(flight, next(self.bodies), self.order.patience))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self) -> None:
        for timer in self._timers:
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def carry_out(order: Order, client: Client, bodies: Iterator[bytes], tell: Tell) -> Step:
    """Carry out one order."""
    if isinstance(order, Alone):
        return await alone(order, client, bodies, tell)
    return await Volley(order, client, bodies).run(tell, time.process_time)


def main() -> None:
    """Serve orders until the input ends."""
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
    with suppress(BrokenPipeError):
        uvloop.run(serve(setup))


async def serve(setup: Setup) -> None:
    """Carry out orders from the standard input, one after the other."""
    loop = asyncio.get_running_loop()
    upstream = SchemeUpstream(Http1Upstream())
    client = Client(upstream, setup.target, time.monotonic)
    decode = msgspec.json.Decoder(Order).decode
    gc.disable()  # a collection in the middle of a step would make requests late
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order = decode(line)
        _say(Done(await carry_out(order, client, setup.workload.bodies(Random(order.seed)), _say)))
        gc.collect()
    await upstream.aclose()


def _say(message: Progress | Done) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
