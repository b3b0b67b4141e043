"""The table of families, as the specification has it: names, kinds, labels, buckets."""

import pytest

from aibrix_mw.telemetry import families as names
from aibrix_mw.telemetry.families import FAMILIES

COUNTERS = {
    "requests": "model profile code outcome",
    "rps_rejections": "model profile",
    "rps_refunds": "model profile",
    "store_errors": "",
    "upstream_attempts": "model reason",
    "pod_readiness_transitions": "model to",
    "ignored_headers": "header",
    "strategy_fallback": "model strategy reason",
    "pd_prefill_errors": "model reason",
    "pd_fallback": "model reason",
    "tokens": "model kind",
    "streams_truncated": "model",
    "client_cancelled": "model",
    "invalid_config": "model",
    "discovery_errors": "",
    "spans_dropped": "",
}
GAUGES = {
    "rps_limit": "model profile",
    "store_shared": "",
    "store_local": "",
    "in_flight_requests": "model",
    "pod_in_flight": "model engine_pod engine_namespace",
    "pod_ready": "model engine_pod engine_namespace",
    "ready_pods": "model",
    "flapping_pods": "model",
    "excluded_pods": "model reason",
    "discovery_age_seconds": "",
}
HISTOGRAMS = {
    "request_duration_seconds": "model",
    "time_to_first_byte_seconds": "model",
    "time_to_first_token_seconds": "model",
    "routing_duration_seconds": "model strategy",
    "pick_duration_seconds": "strategy",
    "overhead_seconds": "",
    "store_duration_seconds": "",
    "prefix_match_ratio": "model",
    "time_per_output_token_seconds": "model",
    "pd_prefill_duration_seconds": "model",
}
OPERATORS_OWN = {"pod", "namespace", "service", "container", "endpoint", "job", "instance"}


@pytest.mark.parametrize(
    ("kind", "suffix", "table"), [("counter", "_total", COUNTERS), ("gauge", "", GAUGES), ("histogram", "", HISTOGRAMS)]
)
def test_every_family_of_the_table(kind, suffix, table):
    wanted = {f"aibrix_gateway_{name}{suffix}": tuple(labels.split()) for name, labels in table.items()}
    assert {family.name: family.labels for family in FAMILIES if family.kind == kind} == wanted


def test_what_all_have():
    for family in FAMILIES:
        assert family.help.endswith(".")
        assert not OPERATORS_OWN & {*family.labels}
        assert bool(family.buckets) == (family.kind == "histogram")
        assert list(family.buckets) == sorted(set(family.buckets))


def test_a_name_in_a_query():
    assert f"rate({names.REQUESTS}[1m])" == "rate(aibrix_gateway_requests_total[1m])"
    assert names.FIRST_BYTE.bucket == "aibrix_gateway_time_to_first_byte_seconds_bucket"


def test_buckets():
    assert names.DURATION_BUCKETS[:4] == (0.01, 0.02, 0.04, 0.08)
    assert names.DURATION_BUCKETS[-4:] == (81.92, 160.0, 320.0, 640.0)
    seconds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60]
    assert list(names.FIRST_TOKEN_BUCKETS) == seconds
    assert (names.ROUTING_BUCKETS[0], names.PICK_BUCKETS[0], names.STORE_BUCKETS[0]) == (50e-6, 5e-6, 100e-6)
