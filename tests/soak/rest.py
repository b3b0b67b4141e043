"""A gateway at rest: whether everything that traffic took has been given back."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import httpx

from tests.soak.accounts import Check, Exposition
from tests.soak.stage import Stage
from tests.soak.vitals import Vitals, vitals

PATIENCE = 45.0
"""Seconds for the last answers to end and for pooled connections to be closed."""
GROWTH = 0.05
STORE_SOCKETS = 64
"""Connections to the store that may stay open: the client keeps as many as were ever needed at once."""
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio keeps once something has been read in one."""


class Rest(NamedTuple):
    """The gateway when nobody asks anything, and after how many seconds it was so."""

    exposition: Exposition
    running: int
    vitals: Vitals
    seconds: float = 0.0

    @property
    def in_flight(self) -> dict[str, float]:
        """Requests in flight by model or pod, where there are any."""
        metrics = (self.exposition.values(name) for name in ("in_flight_requests", "pod_in_flight"))
        return {labels: value for found in metrics for labels, value in found.items() if value}


async def look(stage: Stage, http: httpx.AsyncClient) -> Rest:
    """Look once."""
    exposition = Exposition(await stage.metrics(http))
    return Rest(exposition, await stage.running(http), await vitals(stage))


async def come_to_rest(stage: Stage, http: httpx.AsyncClient, base: Rest | None = None) -> Rest:
    """Look until nothing is left over, or until it is clear that it stays."""
    begun = time.monotonic()
    while True:
        rest = await look(stage, http)
        took = time.monotonic() - begun
        if took > PATIENCE or at_rest(rest, base or rest, stage):
            return rest._replace(seconds=took)
        await asyncio.sleep(0.5)


def at_rest(rest: Rest, base: Rest, stage: Stage) -> bool:
    """Whether nothing is left over."""
    return all(check.good for check in left_over(rest, base, stage))


def left_over(rest: Rest, base: Rest, stage: Stage) -> Iterator[Check]:
    """What must be as it was when nobody had asked anything."""
    now, then = rest.vitals, base.vitals
    yield Check("in_flight is 0", not rest.in_flight, f"{rest.in_flight or 0}")
    yield Check("engines run nothing", rest.running == 0, f"{rest.running} running or waiting")
    pods = rest.exposition.values("pod_in_flight").keys()
    names = {pod.name for pod in stage.pods}
    told = {labels.split()[1] for labels in pods}
    yield Check("only pods that are there have series", told == names, f"{sorted(told)}")
    yield Check(
        "no task is left", now.tasks == then.tasks, f"{sum(now.tasks.values())}: {_change(then.tasks, now.tasks)}"
    )
    kept = {whom: number for whom, number in now.sockets.items() if whom not in {"store", "operators"}}
    base_kept = {whom: number for whom, number in then.sockets.items() if whom not in {"store", "operators"}}
    yield Check("no socket is left", kept == base_kept, f"{_change(base_kept, kept)}")
    store = now.sockets.get("store", 0)
    yield Check("connections to the store are bounded", store <= STORE_SOCKETS, f"{store} of {STORE_SOCKETS}")
    yield Check("no descriptor is left", now.files == then.files, f"{then.files}, then {now.files}")
    yield Check("no thread is left", now.threads <= then.threads + POOL, f"{then.threads}, then {now.threads}")


def flat(warm: Rest, last: Rest) -> Iterator[Check]:
    """Resident memory and objects at the end against those after the first third, both at rest.

    By then all code has run, pools and tables have the size that this traffic gives them, and the heap has the holes of
    the largest bodies; whatever grows with the number of requests, pods or faults goes on growing after that.
    """
    then, now = warm.vitals, last.vitals
    memory = f"{then.rss / 2**20:.1f} MiB after the first third, {now.rss / 2**20:.1f} at the end"
    yield _growth("memory", then.rss, now.rss, memory)
    before, after = sum(then.objects.values()), sum(now.objects.values())
    more = Counter(now.objects)
    more.subtract(then.objects)
    most = ", ".join(f"{name} {number:+}" for name, number in more.most_common(5))
    yield _growth("the number of objects", before, after, f"{before}, then {after}: {most}")


def _growth(what: str, then: int, now: int, told: str) -> Check:
    growth = now / then - 1
    return Check(f"{what} is flat within {GROWTH:.0%}", round(growth, 6) <= GROWTH, f"{growth:+.1%}: {told}")


def _change(then: dict[str, int], now: dict[str, int]) -> str:
    changed = [
        f"{name} {then.get(name, 0)} -> {now.get(name, 0)}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name, 0) != now.get(name, 0)
    ]
    return ", ".join(changed) or f"as before: {now}"
