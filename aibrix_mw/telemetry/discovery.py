"""Metrics of discovery: readiness that comes and goes, and how well the API server is followed."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aibrix_mw.pods.registry import PodRegistry


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
        transitions = CounterMetricFamily(
            "aibrix_gateway_pod_readiness_transitions",
            "Ready <-> NotReady of live pods; not their first Ready.",
            labels=["model", "to"],
        )
        for labels, count in self.pods.churn.transitions.items():
            transitions.add_metric(labels, count)
        yield transitions
        flapping = GaugeMetricFamily(
            "aibrix_gateway_flapping_pods", "Pods with 3 such transitions or more in 10 minutes.", labels=["model"]
        )
        for model, pods in self.pods.models().items():
            flapping.add_metric([model], sum(self.pods.churn.is_flapping(pod.uid) for pod in pods))
        yield flapping
        if self.source is not None:
            yield CounterMetricFamily(
                "aibrix_gateway_discovery_errors", "Failed exchanges with the API server.", self.source.errors()
            )
            yield GaugeMetricFamily(
                "aibrix_gateway_discovery_age_seconds",
                "Since the watch was last known good; 0 while connected.",
                self.source.age(),
            )
