"""Metrics of discovery: readiness that comes and goes, and how well the API server is followed."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.telemetry import families as names
from aibrix_mw.telemetry.cells import counter, gauge


class Followed(Protocol):
    """A source of pods that is followed over the network."""

    def age(self) -> float:
        """Seconds since it was last known good."""

    def errors(self) -> int:
        """Exchanges that failed."""


class DiscoveryMetrics(Collector):
    """Read at the scrape; `source` None: pods come from files, and nothing is followed."""

    def __init__(self, pods: PodRegistry, source: Followed | None = None) -> None:
        self.pods = pods
        self.source = source

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        churn = self.pods.churn
        yield counter(names.READINESS_TRANSITIONS, churn.transitions.items())
        flapping = {
            (model,): sum(churn.is_flapping(pod.uid) for pod in pods) for model, pods in self.pods.models().items()
        }
        yield gauge(names.FLAPPING_PODS, flapping.items())
        if self.source is not None:
            yield counter(names.DISCOVERY_ERRORS, [((), self.source.errors())])
            yield gauge(names.DISCOVERY_AGE, [((), self.source.age())])
