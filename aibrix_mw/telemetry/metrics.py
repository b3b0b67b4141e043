"""The gateway's Prometheus metrics.

What happens on the hot path is counted in plain cells, looked up once per model and kept; prometheus_client makes
families of them when somebody scrapes. What the registry knows anyway is read at the scrape.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache, partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from aibrix_mw.outcome import Prefill
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.strategies import TABLE
from aibrix_mw.telemetry import families as names
from aibrix_mw.telemetry.cells import CounterFamily, HistogramFamily, Labels, counter, gauge

UNKNOWN_MODEL = "_unknown"


class GatewayMetrics(Collector):
    """All families of one gateway, in a registry of its own unless one is given."""

    def __init__(
        self,
        pods: PodRegistry | None = None,
        *,
        registry: CollectorRegistry | None = None,
        per_pod: bool = True,
        strategies: Container[str] = TABLE,
        ejected: Callable[[], Iterable[Pod]] = tuple,
        spans_dropped: Callable[[], int] = int,
    ) -> None:
        self.pods = pods if pods is not None else PodRegistry()
        self.ejected = ejected
        self.per_pod = per_pod
        self.spans_dropped = spans_dropped
        self.strategy_label = lru_cache(maxsize=1024)(partial(_strategy_label, strategies))
        self.requests = CounterFamily(names.REQUESTS)
        self.duration = HistogramFamily(names.REQUEST_DURATION)
        self.first_byte = HistogramFamily(names.FIRST_BYTE)
        self.first_token = HistogramFamily(names.FIRST_TOKEN)
        self.routing = HistogramFamily(names.ROUTING_DURATION)
        self.pick = HistogramFamily(names.PICK_DURATION)
        self.match = HistogramFamily(names.PREFIX_MATCH)
        self.between_tokens = HistogramFamily(names.BETWEEN_TOKENS)
        self.overhead = HistogramFamily(names.OVERHEAD)
        self.prefill = HistogramFamily(names.PD_PREFILL_DURATION)
        self.attempts = CounterFamily(names.UPSTREAM_ATTEMPTS)
        self.fallbacks = CounterFamily(names.STRATEGY_FALLBACK)
        self.ignored_headers = CounterFamily(names.IGNORED_HEADERS)
        self.tokens = CounterFamily(names.TOKENS)
        self.truncated = CounterFamily(names.STREAMS_TRUNCATED)
        self.cancelled = CounterFamily(names.CLIENT_CANCELLED)
        self.rejections = CounterFamily(names.RPS_REJECTIONS)
        self.refunds = CounterFamily(names.RPS_REFUNDS)
        self.prefill_errors = CounterFamily(names.PD_PREFILL_ERRORS)
        self.pd_fallbacks = CounterFamily(names.PD_FALLBACK)
        self.cells = [cell for cell in vars(self).values() if isinstance(cell, (CounterFamily, HistogramFamily))]
        self.registry = registry if registry is not None else CollectorRegistry()
        self.registry.register(self)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Metrics text in the format that an Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def count_prefills(self, model: str, legs: Iterable[Prefill]) -> None:
        """Count the prefill legs of one request."""
        for leg in legs:
            if leg.failed:
                self.prefill_errors[model, str(leg.reason)] += 1
            elif leg.reason is None:
                self.prefill[model,].observe(leg.ended - leg.started)

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        for cell in self.cells:
            yield cell.collect()
        yield counter(names.SPANS_DROPPED, [((), self.spans_dropped())])
        yield from self._collect_models()
        if self.per_pod:
            yield from self._collect_pods()

    def _collect_models(self) -> Iterator[Metric]:
        in_flight: dict[Labels, float] = {}
        ready: dict[Labels, float] = {}
        excluded: Counter[Labels] = Counter()
        ejected = set(self.ejected())
        for model, pods in self.pods.models().items():
            in_flight[model,] = sum(pod.held for pod in pods)
            ready[model,] = sum(pod.info.excluded is None for pod in pods)
            reasons = (pod.info.excluded or ("ejected" if pod in ejected else "") for pod in pods)
            excluded.update((model, reason) for reason in reasons if reason)
        yield gauge(names.IN_FLIGHT, in_flight.items())
        yield gauge(names.READY_PODS, ready.items())
        yield gauge(names.EXCLUDED_PODS, excluded.items())
        yield counter(names.INVALID_CONFIG, (((model,), n) for model, n in self.pods.invalid_configs.items()))

    def _collect_pods(self) -> Iterator[Metric]:
        pods = [
            ((model, pod.info.name, pod.info.namespace), pod)
            for model, known in self.pods.models().items()
            for pod in known
        ]
        yield gauge(names.POD_IN_FLIGHT, ((labels, pod.held) for labels, pod in pods))
        yield gauge(names.POD_READY, ((labels, pod.info.excluded is None) for labels, pod in pods))


def _strategy_label(table: Container[str], name: str) -> str:
    """A strategy's name as a bounded label: what is not in the table is a list, or a class that settings name."""
    if name in table:
        return name
    return "custom" if name.rpartition(":")[2].isidentifier() and "," not in name else "list"
