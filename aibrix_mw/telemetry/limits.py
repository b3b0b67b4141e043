"""Metrics of counting: the limits in force, and what the store is doing."""

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from aibrix_mw.telemetry import families as names
from aibrix_mw.telemetry.cells import HistogramFamily, counter, gauge

RateLimits = Callable[[], dict[tuple[str, str], float]]


class Counting(Protocol):
    """What of a limiter is exported."""

    @property
    def shared(self) -> bool:
        """Whether replicas share its counts."""

    @property
    def away(self) -> str | None:
        """Why its store is not asked; None when it is."""

    @property
    def store_errors(self) -> int:
        """Verdicts that were made without the store."""


class LimitMetrics(Collector):
    """Families of a limiter and of the limits in force: requests per second by model and profile, "" being all."""

    def __init__(self, limiter: Counting, limits: RateLimits) -> None:
        self.limiter = limiter
        self.limits = limits
        self.trips = HistogramFamily(names.STORE_DURATION)

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        limiter = self.limiter
        yield gauge(names.RPS_LIMIT, self.limits().items())
        yield self.trips.collect()
        yield counter(names.STORE_ERRORS, [((), limiter.store_errors)])
        yield gauge(names.STORE_SHARED, [((), limiter.shared)])
        yield gauge(names.STORE_LOCAL, [((), limiter.away is not None)])
