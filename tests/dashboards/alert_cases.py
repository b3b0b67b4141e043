"""When each alert is to fire: what its series do while something is wrong, and while nothing is."""

from typing import NamedTuple

GATEWAY = {"namespace": "serving", "job": "aibrix-mw"}
MODEL = {**GATEWAY, "model": "llama"}
PREFIX = "aibrix_gateway_"


class Signal(NamedTuple):
    """A series; `bad` and `good` are values of a gauge, or increments from one sample to the next."""

    series: str
    bad: float
    good: float
    counts: bool = True


class Case(NamedTuple):
    """An alert: minutes of trouble that make it fire, and without that end it; `lead` of them before one bad sample.

    `step` is seconds between samples; `labels` tell alerts of one name apart.
    """

    alert: str
    signals: tuple[Signal, ...]
    bad: int
    good: int
    lead: int = 10
    step: int = 15
    labels: str = ""

    def samples(self, minutes):
        return minutes * 60 // self.step


def counter(metric, labels, bad, good=0, **more):
    return Signal(_series(metric, labels | more), bad, good)


def gauge(metric, labels, bad, good, **more):
    return Signal(_series(metric, labels | more), bad, good, counts=False)


def late(metric, labels, bound, above):
    """A histogram whose events are above a bound while something is wrong."""
    bucket = f"{metric}_bucket"
    return (
        counter(bucket, labels, 0, 100, le=bound),
        counter(bucket, labels, 100, 100, le=above),
        counter(bucket, labels, 100, 100, le="+Inf"),
    )


def _series(metric, labels):
    written = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{metric if ':' in metric else PREFIX + metric}{{{written}}}"


def _burn(factor, bad, good, lead, step):
    requests = "requests_total"
    signals = (
        counter(requests, MODEL, 0, 60, outcome="ok"),
        counter(requests, MODEL, 60, outcome="engine_error"),
        counter(requests, MODEL, 30, 30, outcome="client_cancelled"),
    )
    return Case("AibrixGatewayErrorBudgetBurn", signals, bad, good, lead, step, f',burn_rate="{factor}"')


REQUESTS = counter("requests_total", MODEL, 60, 60, code="200", outcome="ok")
PODS = [{"engine_namespace": "ns", "engine_pod": name} for name in "abcd"]
ENGINE = {"namespace": "ns", "pod": "engine-0", "instance": "10.0.0.1:8000"}

CASES = (
    _burn("14.4", bad=10, good=15, lead=60, step=15),
    _burn("6", bad=30, good=60, lead=360, step=60),
    _burn("3", bad=90, good=180, lead=1440, step=60),
    _burn("1", bad=240, good=480, lead=4320, step=120),
    Case(
        "AibrixGatewayModelWithoutPods",
        (REQUESTS, gauge("ready_pods", MODEL, 0, 2), gauge("ready_pods", MODEL, 0, 2, pod="gateway-1")),
        bad=8,
        good=5,
    ),
    Case("AibrixGatewayFirstTokenSlow", late("time_to_first_token_seconds", MODEL, "2.5", "5"), bad=20, good=20),
    Case(
        "AibrixGatewayManyLimited",
        (REQUESTS, counter("requests_total", MODEL, 30, 1, code="429", outcome="limited")),
        bad=20,
        good=20,
    ),
    Case("AibrixGatewayStreamsTruncated", (REQUESTS, counter("streams_truncated_total", MODEL, 3)), bad=15, good=15),
    Case(
        "AibrixGatewayLimitsNotShared",
        (
            gauge("store_shared", GATEWAY, 0, 1, pod="gateway-0"),
            gauge("store_shared", GATEWAY, 0, 1, pod="gateway-1"),
            gauge("rps_limit", MODEL, 50, 50, profile="default"),
        ),
        bad=15,
        good=5,
    ),
    Case("AibrixGatewayCountsLocally", (gauge("store_local", GATEWAY, 1, 0),), bad=5, good=5),
    Case("AibrixGatewayStoreSlow", late("store_duration_seconds", GATEWAY, "0.0128", "0.0512"), bad=15, good=15),
    Case(
        "AibrixGatewayPrefillFails",
        (
            counter("pd_prefill_errors_total", MODEL, 10, reason="reset"),
            counter("pd_prefill_duration_seconds_count", MODEL, 60, 60),
        ),
        bad=15,
        good=15,
    ),
    Case(
        "AibrixGatewayPrefillSkipped",
        (
            counter("pd_fallback_total", MODEL, 20, 1, reason="no_prefill"),
            counter("routing_duration_seconds_count", MODEL, 60, 60, strategy="pd"),
        ),
        bad=20,
        good=20,
    ),
    Case("AibrixGatewayPodsFlapping", (gauge("flapping_pods", MODEL, 1, 0),), bad=3, good=3),
    Case(
        "AibrixGatewayTrafficSkewed",
        (
            gauge("pod_in_flight", MODEL | PODS[0], 20, 4),
            *(gauge("pod_in_flight", MODEL | pod, 2, 4) for pod in PODS[1:]),
        ),
        bad=30,
        good=15,
    ),
    Case("AibrixEngineKvCacheFull", (gauge("vllm:kv_cache_usage_perc", ENGINE, 0.95, 0.5),), bad=8, good=3),
    Case("AibrixEngineQueueLong", (gauge("vllm:num_requests_waiting", ENGINE, 60, 3),), bad=8, good=3),
    Case("AibrixGatewaySpansDropped", (counter("spans_dropped_total", GATEWAY, 5),), bad=20, good=15),
    Case("AibrixGatewayDiscoveryStale", (gauge("discovery_age_seconds", GATEWAY, 90, 0),), bad=4, good=3),
)
