"""A replica in virtual time: as a queue in one loop, and as the simulated engine itself on a loop whose time jumps."""

import asyncio
from heapq import heapify, heapreplace
from random import Random
from typing import NamedTuple

from aibrix_mw.engine.metrics import EngineMetrics
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.scheduler import Job, Scheduler
from aibrix_mw.sizing.generator import ALONE
from aibrix_mw.sizing.orders import Alone
from aibrix_mw.sizing.records import UNFINISHED, Punctuality, Record, Step
from aibrix_mw.sizing.schedule import arrivals
from aibrix_mw.sizing.verdict import MOST_LATE
from aibrix_mw.sizing.watch import AT_LEAST, LATE
from tests.virtual_time import in_virtual_time


class Queue(NamedTuple):
    """A simulated engine for requests that are all alike; `token`: seconds of each output token but the first."""

    places: int = 32
    prefill: float = 0.2
    tokens: int = 9
    token: float = 0.1

    @property
    def whole(self):
        return self.prefill + (self.tokens - 1) * self.token

    def options(self):
        """The engine that behaves so, for prompts of 512 tokens."""
        return EngineOptions(
            models=("m",),
            max_running=self.places,
            prefill_tokens_per_second=512 / self.prefill,
            decode_tokens_per_second=1 / self.token,
            kv_blocks=100_000,
        )


def first_tokens(queue, instants):
    """Seconds to the first token, for requests at these instants: first come, first served, by the first free place."""
    free = [0.0] * queue.places
    heapify(free)
    times = []
    for instant in instants:
        begin = max(instant, free[0])
        heapreplace(free, begin + queue.whole)
        times.append(begin + queue.prefill - instant)
    return times


def poisson(rate, count, seed):
    rng, now, instants = Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(rate)
        instants.append(now)
    return instants


def late_share(queue, rate, bound, count=50_000, seed=0):
    times = first_tokens(queue, poisson(rate, count, seed))
    return sum(time > bound for time in times) / count


def capacity(queue, bound):
    """The highest Poisson rate at which the p95 of 50,000 requests is within the bound, to a thousandth."""
    low, high = 0.0, queue.places / queue.whole
    while high - low > high / 1000:
        middle = (low + high) / 2
        low, high = (middle, high) if late_share(queue, middle, bound) <= MOST_LATE else (low, middle)
    return low


ORDINARY = Queue()
PUNCTUAL = Punctuality()


class VirtualReplica:
    """A `Runner` over a queue; `change` turns a record into what the replica makes of it at a rate."""

    def __init__(self, queue=ORDINARY, change=lambda record, rate: record, punctuality=PUNCTUAL):
        self.queue = queue
        self.change = change
        self.punctuality = punctuality
        self.orders = []

    def run(self, order, tell):
        self.orders.append(order)
        if isinstance(order, Alone):
            records = [self._record(float(number), self.queue.prefill) for number in range(order.count)]
            return Step(ALONE, [self.change(record, 0.0) for record in records], float(order.count))
        instants = arrivals(order.plan, Random(order.seed))
        records = [
            self._record(due, wait) for due, wait in zip(instants, first_tokens(self.queue, instants), strict=True)
        ]
        return self._step(order, [self.change(record, order.plan.rate) for record in records])

    def _record(self, due, wait):
        first = due + wait
        last = first + (self.queue.tokens - 1) * self.queue.token
        return Record(due, due, last, first, last, self.queue.tokens, 512)

    def _step(self, order, records):
        """Cut where `Watch` would end the step."""
        counted = [record for record in records if order.plan.counts(record.due)]
        late = sorted(record.first for record in counted if (record.first_token or 0.0) > order.bounds.first_token)
        most = int(max(LATE * order.plan.requests, AT_LEAST))
        if len(late) <= most:
            end = max(record.ended for record in counted)
            return Step(order.plan, [cut(one, end) for one in records], end, self.punctuality)
        end = late[most]
        kept = [cut(one, end) for one in records if one.sent <= end]
        return Step(order.plan, kept, end, self.punctuality, "late")


def cut(record, end):
    """What is known of a request when its step ends."""
    if record.ended <= end:
        return record
    first = record.first if record.first is not None and record.first <= end else None
    last = min(record.last, end) if first is not None else None
    tokens = record.tokens if first is not None else 0
    return Record(record.due, record.sent, end, first, last, tokens, error=UNFINISHED)


def engine_first_tokens(queue, instants):
    """Seconds to the first token as the simulated engine's own scheduler has them."""

    async def run():
        loop, options = asyncio.get_running_loop(), queue.options()
        scheduler = Scheduler(options, EngineMetrics("m"), loop.time, asyncio.sleep)
        times = {}

        async def ask(instant):
            async with scheduler.slot(Job(512, queue.tokens)) as job:
                await job.token()
                times[instant] = loop.time() - instant
                for _ in range(queue.tokens - 1):
                    await job.token()
                job.finish("length")

        async with asyncio.TaskGroup() as group:
            for instant in instants:
                await asyncio.sleep(instant - loop.time())
                group.create_task(ask(loop.time()))
        return list(times.values())

    return in_virtual_time(run())
