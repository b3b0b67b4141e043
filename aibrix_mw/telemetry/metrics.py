"""The gateway's Prometheus metrics.

What happens on the hot path is counted in plain cells, looked up once per model and kept; prometheus_client makes
families of them when somebody scrapes. What the registry knows anyway is read at the scrape.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from aibrix_mw.outcome import FailedAttempt, Prefill
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.strategies import TABLE

UNKNOWN_MODEL = "_unknown"
DURATION_BUCKETS = (*(0.01 * 2**power for power in range(14)), 160.0, 320.0, 640.0)
ROUTING_BUCKETS = tuple(50e-6 * 2**power for power in range(15))
MATCH_BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PICK_BUCKETS = tuple(5e-6 * 2**power for power in range(12))

Labels = tuple[str, ...]


class Histogram:
    """Counts by bucket; the last one is +Inf."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as prometheus_client wants them."""
        rows, total = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else f"{bound:.10g}", float(total)))
        return rows


class HistogramFamily(dict[Labels, Histogram]):
    """Histograms by label values; a child is made at the first look-up."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.name = name
        self.help_text = help_text
        self.bounds = bounds
        self.labels = labels

    def __missing__(self, labels: Labels) -> Histogram:
        child = self[labels] = Histogram(self.bounds)
        return child

    def collect(self) -> Metric:
        """The family as prometheus_client exports it."""
        family = HistogramMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, child in self.items():
            family.add_metric(labels, buckets=child.buckets(), sum_value=child.sum)
        return family


class CounterFamily(Counter[Labels]):
    """Counts by label values."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.help_text = help_text
        self.labels = labels

    def collect(self) -> Metric:
        """The family as prometheus_client exports it."""
        family = CounterMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, count in self.items():
            family.add_metric(labels, count)
        return family


class GatewayMetrics(Collector):
    """All families of one gateway, in a registry of its own."""

    def __init__(
        self,
        pods: PodRegistry,
        *,
        per_pod: bool = True,
        strategies: Container[str] = TABLE,
        ejected: Callable[[], Iterable[Pod]] = tuple,
    ) -> None:
        self.pods = pods
        self.ejected = ejected
        self.per_pod = per_pod
        self.strategies = strategies
        self.requests = CounterFamily(
            "aibrix_gateway_requests", "Requests by how they ended.", ["model", "profile", "code", "outcome"]
        )
        self.duration = HistogramFamily(
            "aibrix_gateway_request_duration_seconds", "From request head to last byte.", DURATION_BUCKETS, ["model"]
        )
        self.first_byte = HistogramFamily(
            "aibrix_gateway_time_to_first_byte_seconds",
            "From request head to the first byte of the answer's body.",
            DURATION_BUCKETS,
            ["model"],
        )
        self.routing = HistogramFamily(
            "aibrix_gateway_routing_duration_seconds",
            "From request head to pod chosen.",
            ROUTING_BUCKETS,
            ["model", "strategy"],
        )
        self.pick = HistogramFamily(
            "aibrix_gateway_pick_duration_seconds", "Time of the strategy alone.", PICK_BUCKETS, ["strategy"]
        )
        self.match = HistogramFamily(
            "aibrix_gateway_prefix_match_ratio",
            "Share of a prompt that its pod is thought to have in its cache.",
            MATCH_BUCKETS,
            ["model"],
        )
        self.overhead = HistogramFamily(
            "aibrix_gateway_overhead_seconds",
            "The gateway's own time: total minus waiting for the client's body and for the engine.",
            ROUTING_BUCKETS,
        )
        self.attempts = CounterFamily(
            "aibrix_gateway_upstream_attempts",
            "Attempts on pods; reason is ok or why it failed.",
            ["model", "reason"],
        )
        self.fallbacks = CounterFamily(
            "aibrix_gateway_strategy_fallback",
            "Choices that another strategy had to make.",
            ["model", "strategy", "reason"],
        )
        self.truncated = CounterFamily(
            "aibrix_gateway_streams_truncated", "Answers that ended short after their first byte.", ["model"]
        )
        self.cancelled = CounterFamily(
            "aibrix_gateway_client_cancelled", "Requests whose client left before the end.", ["model"]
        )
        self.prefill_errors = CounterFamily(
            "aibrix_gateway_pd_prefill_errors", "Prefill legs that failed.", ["model", "reason"]
        )
        self.pd_fallbacks = CounterFamily(
            "aibrix_gateway_pd_fallback", "Requests meant for two pods that went to one.", ["model", "reason"]
        )
        self.prefill_duration = HistogramFamily(
            "aibrix_gateway_pd_prefill_duration_seconds",
            "From a prefill leg sent to its answer.",
            DURATION_BUCKETS,
            ["model"],
        )
        self.rejections = CounterFamily(
            "aibrix_gateway_rps_rejections", "Requests over requestsPerSecond.", ["model", "profile"]
        )
        self.refunds = CounterFamily(
            "aibrix_gateway_rps_refunds", "Requests that were counted and then given back.", ["model", "profile"]
        )
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Metrics text in the format that an Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def strategy_label(self, name: str) -> str:
        """A strategy's name as a bounded label: what is not in the table is a list, or a class that settings name."""
        if name in self.strategies:
            return name
        return "custom" if name.rpartition(":")[2].isidentifier() and "," not in name else "list"

    def count_attempts(self, model: str, failed: Iterable[FailedAttempt], *, answered: bool) -> None:
        """Count the tries of one request: those that failed, and the one that was answered."""
        for attempt in failed:
            self.attempts[model, attempt.reason] += 1
        if answered:
            self.attempts[model, "ok"] += 1

    def count_prefills(self, model: str, legs: Iterable[Prefill]) -> None:
        """Count the prefill legs of one request."""
        for leg in legs:
            if leg.failed:
                self.prefill_errors[model, str(leg.reason)] += 1
            elif leg.reason is None:
                self.prefill_duration[model,].observe(leg.ended - leg.started)

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        for histograms in (
            self.duration,
            self.first_byte,
            self.routing,
            self.pick,
            self.match,
            self.overhead,
            self.prefill_duration,
        ):
            yield histograms.collect()
        for counters in (
            self.requests,
            self.attempts,
            self.fallbacks,
            self.truncated,
            self.cancelled,
            self.rejections,
            self.refunds,
            self.prefill_errors,
            self.pd_fallbacks,
        ):
            yield counters.collect()
        yield from self._collect_models()
        if self.per_pod:
            yield from self._collect_pods()

    def _collect_models(self) -> Iterator[Metric]:
        in_flight = GaugeMetricFamily("aibrix_gateway_in_flight_requests", "Requests on pods now.", labels=["model"])
        ready = GaugeMetricFamily("aibrix_gateway_ready_pods", "Pods that can take requests.", labels=["model"])
        excluded = GaugeMetricFamily(
            "aibrix_gateway_excluded_pods", "Pods that take no requests, and why.", labels=["model", "reason"]
        )
        ejected = set(self.ejected())
        for model, pods in self.pods.models().items():
            in_flight.add_metric([model], sum(pod.held for pod in pods))
            ready.add_metric([model], sum(pod.info.excluded is None for pod in pods))
            reasons = [pod.info.excluded or ("ejected" if pod in ejected else "") for pod in pods]
            for reason, count in Counter(filter(None, reasons)).items():
                excluded.add_metric([model, reason], count)
        yield from (in_flight, ready, excluded)
        invalid = CounterMetricFamily(
            "aibrix_gateway_invalid_config", "Invalid config annotations seen.", labels=["model"]
        )
        for model, count in self.pods.invalid_configs.items():
            invalid.add_metric([model], count)
        yield invalid

    def _collect_pods(self) -> Iterator[Metric]:
        labels = ["model", "engine_pod", "engine_namespace"]
        in_flight = GaugeMetricFamily("aibrix_gateway_pod_in_flight", "Requests on a pod now.", labels=labels)
        ready = GaugeMetricFamily("aibrix_gateway_pod_ready", "1 when a pod can take requests.", labels=labels)
        for model, pods in self.pods.models().items():
            for pod in pods:
                names = [model, pod.info.name, pod.info.namespace]
                in_flight.add_metric(names, pod.held)
                ready.add_metric(names, pod.info.excluded is None)
        yield from (in_flight, ready)
