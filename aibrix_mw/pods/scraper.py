"""The scraper: asks engines for their metrics, and gives each pod its engine's own word."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.engine_names import ENGINE_NAMES, SOURCES, EngineNames, Names
from aibrix_mw.pods.exposition import SeriesReader
from aibrix_mw.pods.pod import Address, Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.window import EngineHistory

logger = logging.getLogger("aibrix_mw")

STALE = 3.0
"""Intervals after which what an engine has said counts as missing."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts on an engine that does not answer."""
AT_ONCE = 256
"""Scrapes under way at the same time: descriptors are finite."""

Fields = frozenset[str]


class ScrapeSharing(Protocol):
    """What replicas do for each other, so that each engine is asked once an interval and not once a replica."""

    changed: Callable[[], object]
    """Called when it is time to `share` again, before the interval is over."""

    def share(self, wanted: Mapping[Pod, Fields]) -> Mapping[Pod, Fields]:
        """The part of the pods that this replica asks; it looks after the metrics of the others itself."""
        ...


class Alone:
    """One replica for itself."""

    def __init__(self) -> None:
        self.changed: Callable[[], object] = _nothing

    def share(self, wanted: Mapping[Pod, Fields]) -> Mapping[Pod, Fields]:
        """Every pod."""
        return wanted


class EngineReader:
    """Reads one engine's metrics text again and again, only the series that `fields` are computed from.

    `before` is what another reader has made of the engine so far, if one has.
    """

    def __init__(self, engine: str, fields: Fields, before: EngineMetrics | None = None) -> None:
        self.fields = fields
        self.names = _wanted(ENGINE_NAMES[engine], fields)
        self._series = SeriesReader([*_all(self.names.totals), *_all(self.names.shares), *self._counter_names()])
        self._history = EngineHistory(before)

    def _counter_names(self) -> list[bytes]:
        histograms = list(_all(self.names.histograms))
        return [
            *_all(self.names.counters),
            *(name + b"_sum" for name in histograms),
            *(name + b"_count" for name in histograms),
        ]

    def read(self, text: bytes, now: float, expires: float) -> EngineMetrics:
        """What the engine says as of `now`; it counts until `expires`."""
        samples = self._series.read(text)
        gauges = {key: sum(found) for key, found in _first(self.names.totals, samples)}
        gauges |= {key: sum(found) / len(found) for key, found in _first(self.names.shares, samples)}
        counters = {key: sum(found) for key, found in _first(self.names.counters, samples)}
        for part in (b"_sum", b"_count"):
            suffix = f".{part[1:].decode()}"
            counters |= {key + suffix: sum(found) for key, found in _first(self.names.histograms, samples, part)}
        return self._history.add(gauges, counters, now, expires)


class Scraper:
    """Keeps `pod.metrics` of all routable pods up to date, as far as somebody needs them.

    `fetch` gets a path from an address; `needs` says which fields of EngineMetrics the strategies in use on a model
    look at, and without any its engines are left alone. Every pod has a loop of its own, so that a slow engine delays
    no other; one that fails is asked ever less often, up to every 30 s.
    """

    def __init__(
        self,
        registry: PodRegistry,
        fetch: Callable[[Address, bytes], Awaitable[bytes]],
        needs: Callable[[str], Fields],
        *,
        interval: float = 1.0,
        sharing: ScrapeSharing | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.registry = registry
        self.fetch = fetch
        self.needs = needs
        self.interval = interval
        self.sharing: ScrapeSharing = sharing or Alone()
        self.clock = clock
        self.rng = rng or random.Random()
        self.sleep = sleep
        self.failing: dict[Pod, str] = {}
        self._readers: dict[Pod, EngineReader] = {}
        self._loops: dict[Pod, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Scrape until cancelled; which pods are followed is looked at once an interval."""
        self.sharing.changed = self.follow
        try:
            while True:
                self.follow()
                await self.sleep(self.interval)
        finally:
            self.sharing.changed = _nothing
            loops = list(self._loops.values())
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    def follow(self) -> None:
        """Begin with the pods that are to be asked, and stop with those that are not."""
        asked = self.sharing.share(dict(self._wanted()))
        for pod in self._loops.keys() - asked.keys():
            self._loops.pop(pod).cancel()
            self._readers.pop(pod, None)
            self.failing.pop(pod, None)
        now = self.clock()
        for pod, fields in asked.items():
            reader = self._readers.get(pod)
            if reader is None or not fields <= reader.fields:
                before = pod.metrics if pod.metrics is not None and pod.metrics.expires > now else None
                self._readers[pod] = EngineReader(pod.info.engine, fields, before)
            if pod not in self._loops:
                self._loops[pod] = asyncio.get_running_loop().create_task(self._keep_asking(pod))

    def _wanted(self) -> Iterable[tuple[Pod, Fields]]:
        for model, pods in self.registry.models().items():
            fields = self.needs(model)
            if fields:
                for pod in pods:
                    if pod.info.excluded is None:
                        yield pod, fields

    async def _keep_asking(self, pod: Pod) -> None:
        await self.sleep(self.rng.random() * self.interval)  # spreads the pods over the interval
        failures = 0
        while True:
            async with self._slots:
                failures = 0 if await self.scrape(pod) else failures + 1
            pause = min(self.interval * 2.0 ** min(failures, 16), max(self.interval, LONGEST_PAUSE))
            await self.sleep(pause * (0.95 + 0.1 * self.rng.random()))

    async def scrape(self, pod: Pod) -> bool:
        """Ask one engine now; whether it has answered."""
        info = pod.info
        port = info.metric_port or pod.address.port
        address = msgspec.structs.replace(pod.address, port=port)
        reader = self._readers[pod]
        try:
            text = await self.fetch(address, reader.names.path)
        except UpstreamError as error:
            self._note(pod, error.message)
            return False
        now = self.clock()
        pod.metrics = reader.read(text, now, now + STALE * self.interval)
        self._note(pod, None)
        return True

    def _note(self, pod: Pod, failure: str | None) -> None:
        """Log the first failure of a row, and its end."""
        who = f"pod {pod.info.namespace}/{pod.info.name}, model {pod.info.model}"
        if failure is not None and pod not in self.failing:
            logger.warning("%s: no metrics: %s", who, failure)
        elif failure is None and pod in self.failing:
            logger.info("%s: metrics are back", who)
        if failure is None:
            self.failing.pop(pod, None)
        else:
            self.failing[pod] = failure


def _nothing() -> None:
    """Nobody waits for a change."""


def _wanted(names: EngineNames, fields: Fields) -> EngineNames:
    """The part of an engine's table that the fields are computed from."""
    sources = frozenset().union(*(SOURCES[field] for field in fields))

    def part(table: Mapping[str, Names]) -> dict[str, Names]:
        return {key: table[key] for key in table if key in sources}

    return EngineNames(names.path, part(names.totals), part(names.shares), part(names.counters), part(names.histograms))


def _all(table: Mapping[str, Names]) -> Iterable[bytes]:
    return (name for names in table.values() for name in names)


def _first(
    table: Mapping[str, Names], samples: Mapping[bytes, list[float]], suffix: bytes = b""
) -> Iterable[tuple[str, list[float]]]:
    """Each quantity with the samples of the first of its names that the engine exports."""
    for key, names in table.items():
        for name in names:
            found = samples.get(name + suffix)
            if found is not None:
                yield key, found
                break
