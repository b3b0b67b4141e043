"""Metrics of counting: the limits in force, and what the store is doing."""

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aibrix_mw.telemetry.metrics import HistogramFamily

STORE_BUCKETS = tuple(100e-6 * 2**power for power in range(12))

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
        self.trips = HistogramFamily(
            "aibrix_gateway_store_duration_seconds", "Trips to the store that counts.", STORE_BUCKETS
        )

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        limiter = self.limiter
        limits = GaugeMetricFamily(
            "aibrix_gateway_rps_limit", "Requests per second that may pass.", labels=["model", "profile"]
        )
        for labels, limit in self.limits().items():
            limits.add_metric(labels, limit)
        yield limits
        yield self.trips.collect()
        yield CounterMetricFamily(
            "aibrix_gateway_store_errors", "Requests decided without the store.", value=limiter.store_errors
        )
        yield GaugeMetricFamily("aibrix_gateway_store_shared", "1 when replicas share counts.", value=limiter.shared)
        yield GaugeMetricFamily(
            "aibrix_gateway_store_local", "1 while a configured store is away.", value=limiter.away is not None
        )
