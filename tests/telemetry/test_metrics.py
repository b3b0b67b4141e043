"""The families: names, labels, buckets, and what both formats make of them."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from aibrix_mw.telemetry import families as names
from aibrix_mw.telemetry.cells import CounterFamily
from aibrix_mw.telemetry.metrics import GatewayMetrics
from tests.support import info, registry_of

ELSEWHERE = ("rps_limit", "store_", "pod_readiness", "flapping", "discovery_")
OURS = {f for f in names.FAMILIES if not f.name.removeprefix("aibrix_gateway_").startswith(ELSEWHERE)}
ODD_NAME = 'org/"m"\\\n'


def filled(**options):
    """Every family with one child."""
    pods = [info(1, excluded="not_ready"), info(2), info(3, config="{}")]
    metrics = GatewayMetrics(registry_of(*pods), **options)
    for cell in metrics.cells:
        labels = tuple("m" for _ in cell.family.labels)
        if isinstance(cell, CounterFamily):
            cell[labels] += 1
        else:
            cell[labels].observe(0.3)
    return metrics


def parsed(metrics, accept=""):
    text, content_type = metrics.exposition(accept)
    read = open_metrics if "openmetrics" in content_type else plain_text
    return {family.name: family for family in read(text.decode())}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_names_types_and_labels(accept):
    found = parsed(filled(), accept)
    assert found.keys() == {family.name.removesuffix("_total") for family in OURS}
    for family in OURS:
        exported = found[family.name.removesuffix("_total")]
        assert exported.type == family.kind
        assert exported.documentation == family.help
        assert {label for sample in exported.samples for label in sample.labels} - {"le"} == set(family.labels)
        bounds = [sample.labels["le"] for sample in exported.samples if "le" in sample.labels]
        assert [float(bound) for bound in bounds[:-1]] == pytest.approx(family.buckets)


def test_values():
    metrics = GatewayMetrics(registry_of(info(1, excluded="not_ready"), info(2), info(3, config="{}")))
    metrics.requests[ODD_NAME, "default", "200", "ok"] += 3
    metrics.attempts["m", "reset"] += 1
    metrics.tokens["m", "cached"] += 16
    found = parsed(metrics)

    def value(name, **labels):
        samples = found[name.removesuffix("_total")].samples
        (value,) = [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]
        return value

    assert value("aibrix_gateway_requests_total", model=ODD_NAME, profile="default", code="200", outcome="ok") == 3
    assert value("aibrix_gateway_upstream_attempts_total", model="m", reason="reset") == 1
    assert value("aibrix_gateway_tokens_total", model="m", kind="cached") == 16
    assert value("aibrix_gateway_ready_pods", model="m") == 2
    assert value("aibrix_gateway_excluded_pods", model="m", reason="not_ready") == 1
    assert value("aibrix_gateway_invalid_config_total", model="m") == 1
    assert value("aibrix_gateway_pod_ready", model="m", engine_pod="pod-1", engine_namespace="ns") == 0
    assert value("aibrix_gateway_pod_ready", model="m", engine_pod="pod-2", engine_namespace="ns") == 1


def test_pods_can_be_left_out():
    left_out = {"aibrix_gateway_pod_in_flight", "aibrix_gateway_pod_ready"}
    assert parsed(filled()).keys() - parsed(filled(per_pod=False)).keys() == left_out


def test_a_removed_pod_is_gone():
    registry = registry_of(info(1), info(2))
    metrics = GatewayMetrics(registry)
    registry.remove("test", "uid-1")
    pods = {sample.labels["engine_pod"] for sample in parsed(metrics)["aibrix_gateway_pod_ready"].samples}
    assert pods == {"pod-2"}


def test_a_fresh_gateway_exports_its_families():
    assert "aibrix_gateway_requests" in parsed(GatewayMetrics(registry_of()))


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
