"""Every metric family of a gateway: its name, kind, meaning, labels and buckets, said once.

What is exported, what dashboards and alerts ask for, and what the reference lists all come from here. Labels never
take a name that the Prometheus Operator puts on targets (pod, namespace, service, container, endpoint, job, instance).
"""

from typing import Literal, NamedTuple


def _doubling(first: float, count: int) -> tuple[float, ...]:
    return tuple(first * 2**power for power in range(count))


DURATION_BUCKETS = (*_doubling(0.01, 14), 160.0, 320.0, 640.0)
FIRST_TOKEN_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0),
)
BETWEEN_TOKENS_BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
ROUTING_BUCKETS = _doubling(50e-6, 15)
PICK_BUCKETS = _doubling(5e-6, 12)
STORE_BUCKETS = _doubling(100e-6, 12)
MATCH_BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

POD_LABELS = ("model", "engine_pod", "engine_namespace")


class Family(NamedTuple):
    """A family by the name that PromQL uses: counters end in `_total`. Buckets are upper bounds, without +Inf."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def bucket(self) -> str:
        """The series of a histogram's buckets."""
        return f"{self.name}_bucket"


def _counter(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"aibrix_gateway_{name}", "counter", help_text, labels)


def _gauge(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"aibrix_gateway_{name}", "gauge", help_text, labels)


def _histogram(name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Family:
    return Family(f"aibrix_gateway_{name}", "histogram", help_text, labels, buckets)


# --- requests

REQUESTS = _counter("requests_total", "Requests by how they ended.", "model", "profile", "code", "outcome")
REQUEST_DURATION = _histogram("request_duration_seconds", "From request head to last byte.", DURATION_BUCKETS, "model")
FIRST_BYTE = _histogram(
    "time_to_first_byte_seconds", "From request head to the first byte of the answer's body.", DURATION_BUCKETS, "model"
)
FIRST_TOKEN = _histogram(
    "time_to_first_token_seconds",
    "From request head to the first data of a streamed answer.",
    FIRST_TOKEN_BUCKETS,
    "model",
)
BETWEEN_TOKENS = _histogram(
    "time_per_output_token_seconds",
    "Mean time between two tokens of a streamed answer whose engine says how many there were.",
    BETWEEN_TOKENS_BUCKETS,
    "model",
)
OVERHEAD = _histogram(
    "overhead_seconds",
    "The gateway's own time: total minus waiting for the client's body and for the engine.",
    ROUTING_BUCKETS,
)
IN_FLIGHT = _gauge("in_flight_requests", "Requests on pods now.", "model")
TOKENS = _counter("tokens_total", "Tokens by the engines' own count; cached ones are among the input.", "model", "kind")
STREAMS_TRUNCATED = _counter("streams_truncated_total", "Answers that ended short after their first byte.", "model")
CLIENT_CANCELLED = _counter("client_cancelled_total", "Requests whose client left before the end.", "model")

# --- routing

ROUTING_DURATION = _histogram(
    "routing_duration_seconds", "From request head to pod chosen.", ROUTING_BUCKETS, "model", "strategy"
)
PICK_DURATION = _histogram("pick_duration_seconds", "Time of the strategy alone.", PICK_BUCKETS, "strategy")
UPSTREAM_ATTEMPTS = _counter(
    "upstream_attempts_total", "Attempts on pods; reason is ok or why it failed.", "model", "reason"
)
STRATEGY_FALLBACK = _counter(
    "strategy_fallback_total", "Choices that another strategy had to make.", "model", "strategy", "reason"
)
IGNORED_HEADERS = _counter(
    "ignored_headers_total", "Routing headers of clients that routing.client_headers does not name.", "header"
)
PREFIX_MATCH = _histogram(
    "prefix_match_ratio", "Share of a prompt that its pod is thought to have in its cache.", MATCH_BUCKETS, "model"
)

# --- limits

RPS_REJECTIONS = _counter("rps_rejections_total", "Requests over requestsPerSecond.", "model", "profile")
RPS_REFUNDS = _counter("rps_refunds_total", "Requests that were counted and then given back.", "model", "profile")
RPS_LIMIT = _gauge(
    "rps_limit", "Requests per second that may pass; profile is empty for the model's own.", "model", "profile"
)
STORE_ERRORS = _counter("store_errors_total", "Requests decided without the store.")
STORE_DURATION = _histogram("store_duration_seconds", "Trips to the store that counts.", STORE_BUCKETS)
STORE_SHARED = _gauge("store_shared", "1 when replicas share counts.")
STORE_LOCAL = _gauge("store_local", "1 while a configured store is away.")

# --- pods

READY_PODS = _gauge("ready_pods", "Pods that can take requests.", "model")
EXCLUDED_PODS = _gauge("excluded_pods", "Pods that take no requests, and why.", "model", "reason")
POD_IN_FLIGHT = _gauge("pod_in_flight", "Requests on the pod now.", *POD_LABELS)
POD_READY = _gauge("pod_ready", "1 when a pod can take requests.", *POD_LABELS)
READINESS_TRANSITIONS = _counter(
    "pod_readiness_transitions_total", "Ready <-> NotReady of live pods; not their first Ready.", "model", "to"
)
FLAPPING_PODS = _gauge("flapping_pods", "Pods with 3 such transitions or more in 10 minutes.", "model")
INVALID_CONFIG = _counter("invalid_config_total", "Faulty annotations and settings of models.", "model")
DISCOVERY_ERRORS = _counter("discovery_errors_total", "Failed exchanges with the API server.")
DISCOVERY_AGE = _gauge("discovery_age_seconds", "Since the watch was last known good; 0 while connected.")

# --- prefill and decode

PD_PREFILL_ERRORS = _counter("pd_prefill_errors_total", "Prefill legs that failed.", "model", "reason")
PD_FALLBACK = _counter("pd_fallback_total", "Requests that were not disaggregated, and why.", "model", "reason")
PD_PREFILL_DURATION = _histogram(
    "pd_prefill_duration_seconds", "Prefill legs, from sent to answered.", DURATION_BUCKETS, "model"
)

# --- traces

SPANS_DROPPED = _counter("spans_dropped_total", "Spans that could not be exported.")

FAMILIES: tuple[Family, ...] = tuple(found for found in list(globals().values()) if isinstance(found, Family))
