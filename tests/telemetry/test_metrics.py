"""The families: names, labels, buckets, and what both formats make of them."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from aibrix_mw.outcome import FailedAttempt, Prefill
from aibrix_mw.telemetry.metrics import DURATION_BUCKETS, PICK_BUCKETS, ROUTING_BUCKETS, GatewayMetrics, Histogram
from tests.support import info, registry_of

FAMILIES = {
    "aibrix_gateway_pd_prefill_errors": ("counter", {"model", "reason"}),
    "aibrix_gateway_pd_fallback": ("counter", {"model", "reason"}),
    "aibrix_gateway_pd_prefill_duration_seconds": ("histogram", {"model"}),
    "aibrix_gateway_requests": ("counter", {"model", "profile", "code", "outcome"}),
    "aibrix_gateway_request_duration_seconds": ("histogram", {"model"}),
    "aibrix_gateway_time_to_first_byte_seconds": ("histogram", {"model"}),
    "aibrix_gateway_routing_duration_seconds": ("histogram", {"model", "strategy"}),
    "aibrix_gateway_pick_duration_seconds": ("histogram", {"strategy"}),
    "aibrix_gateway_prefix_match_ratio": ("histogram", {"model"}),
    "aibrix_gateway_overhead_seconds": ("histogram", set()),
    "aibrix_gateway_upstream_attempts": ("counter", {"model", "reason"}),
    "aibrix_gateway_strategy_fallback": ("counter", {"model", "strategy", "reason"}),
    "aibrix_gateway_streams_truncated": ("counter", {"model"}),
    "aibrix_gateway_client_cancelled": ("counter", {"model"}),
    "aibrix_gateway_rps_rejections": ("counter", {"model", "profile"}),
    "aibrix_gateway_rps_refunds": ("counter", {"model", "profile"}),
    "aibrix_gateway_in_flight_requests": ("gauge", {"model"}),
    "aibrix_gateway_ready_pods": ("gauge", {"model"}),
    "aibrix_gateway_excluded_pods": ("gauge", {"model", "reason"}),
    "aibrix_gateway_invalid_config": ("counter", {"model"}),
    "aibrix_gateway_pod_in_flight": ("gauge", {"model", "engine_pod", "engine_namespace"}),
    "aibrix_gateway_pod_ready": ("gauge", {"model", "engine_pod", "engine_namespace"}),
}
RESERVED = {"pod", "namespace", "service", "container", "endpoint", "job", "instance"}
ODD_NAME = 'org/"m"\\\n'


def filled(**options):
    """Every family with one child."""
    pods = [info(1, excluded="not_ready"), info(2), info(3, config="{}")]
    metrics = GatewayMetrics(registry_of(*pods), **options)
    metrics.requests[ODD_NAME, "default", "200", "ok"] += 3
    for family in (metrics.duration, metrics.first_byte):
        family["m",].observe(0.3)
    metrics.routing["m", "random"].observe(1e-4)
    metrics.pick["random",].observe(1e-5)
    metrics.match["m",].observe(0.5)
    metrics.overhead[()].observe(1e-3)
    metrics.count_attempts("m", [FailedAttempt("pod-1", "reset")], answered=True)
    metrics.count_attempts("m", [], answered=False)
    metrics.fallbacks["m", "list", "no_data"] += 1
    metrics.count_prefills(
        "m", [Prefill("p", 1.0, 1.2), Prefill("p", 1.0, 1.2, "reset"), Prefill("p", 1.0, 1.1, "left")]
    )
    metrics.pd_fallbacks["m", "incomplete"] += 1
    metrics.truncated["m",] += 1
    metrics.cancelled["m",] += 1
    metrics.rejections["m", "default"] += 1
    metrics.refunds["m", "default"] += 1
    return metrics


def parsed(metrics, accept=""):
    text, content_type = metrics.exposition(accept)
    read = open_metrics if "openmetrics" in content_type else plain_text
    return {family.name: family for family in read(text.decode())}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_names_types_and_labels(accept):
    families = parsed(filled(), accept)
    assert families.keys() == FAMILIES.keys()
    for name, (kind, labels) in FAMILIES.items():
        assert families[name].type == kind
        assert families[name].documentation
        assert {label for sample in families[name].samples for label in sample.labels} - {"le"} == labels
        assert not labels & RESERVED


def test_values():
    families = parsed(filled())

    def value(name, **labels):
        family = families[name.removesuffix("_total")]
        (found,) = [sample.value for sample in family.samples if (sample.name, sample.labels) == (name, labels)]
        return found

    assert value("aibrix_gateway_requests_total", model=ODD_NAME, profile="default", code="200", outcome="ok") == 3
    assert value("aibrix_gateway_upstream_attempts_total", model="m", reason="reset") == 1
    assert value("aibrix_gateway_upstream_attempts_total", model="m", reason="ok") == 1
    assert value("aibrix_gateway_ready_pods", model="m") == 2
    assert value("aibrix_gateway_excluded_pods", model="m", reason="not_ready") == 1
    assert value("aibrix_gateway_invalid_config_total", model="m") == 1
    assert value("aibrix_gateway_pod_ready", model="m", engine_pod="pod-1", engine_namespace="ns") == 0
    assert value("aibrix_gateway_pod_ready", model="m", engine_pod="pod-2", engine_namespace="ns") == 1


def test_pods_can_be_left_out():
    families = parsed(filled(per_pod=False))
    assert families.keys() == FAMILIES.keys() - {"aibrix_gateway_pod_in_flight", "aibrix_gateway_pod_ready"}


def test_a_removed_pod_is_gone():
    registry = registry_of(info(1), info(2))
    metrics = GatewayMetrics(registry)
    registry.remove("test", "uid-1")
    pods = {sample.labels["engine_pod"] for sample in parsed(metrics)["aibrix_gateway_pod_ready"].samples}
    assert pods == {"pod-2"}


def test_a_fresh_gateway_exports_its_families():
    assert "aibrix_gateway_requests" in parsed(GatewayMetrics(registry_of()))


# --- histograms


def test_buckets_are_powers_of_two():
    assert DURATION_BUCKETS[:3] == (0.01, 0.02, 0.04)
    assert DURATION_BUCKETS[-4:] == (81.92, 160.0, 320.0, 640.0)
    assert (ROUTING_BUCKETS[0], PICK_BUCKETS[0]) == (50e-6, 5e-6)
    for buckets in (DURATION_BUCKETS, ROUTING_BUCKETS, PICK_BUCKETS):
        assert list(buckets) == sorted(buckets)


def test_a_bound_belongs_to_its_bucket():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 7.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == 12.0


def test_count_and_sum_agree():
    samples = parsed(filled())["aibrix_gateway_request_duration_seconds"].samples
    assert {s.value for s in samples if s.name.endswith("_count")} == {1.0}
    assert {s.value for s in samples if s.name.endswith("_sum")} == {0.3}
    assert [s.labels["le"] for s in samples if "le" in s.labels][:2] == ["0.01", "0.02"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("least-request", "least-request"),
        ("mine", "mine"),
        ("least-request:6,random:4", "list"),
        ("least-request:6", "list"),
        ("least-request,random", "list"),
        ("my_pkg.mod:Class", "custom"),
        ("mod:Class", "custom"),
    ],
)
def test_the_label_of_a_strategy(name, label):
    metrics = GatewayMetrics(registry_of(), strategies={"least-request", "mine"})
    assert metrics.strategy_label(name) == label


def test_ejected_pods_are_excluded_ones():
    registry = registry_of(info(1, excluded="not_ready"), info(2), info(3))
    ejected = registry.serving("m")[0]
    metrics = GatewayMetrics(registry, ejected=lambda: [ejected])
    samples = parsed(metrics)["aibrix_gateway_excluded_pods"].samples
    assert {sample.labels["reason"]: sample.value for sample in samples} == {"not_ready": 1, "ejected": 1}
