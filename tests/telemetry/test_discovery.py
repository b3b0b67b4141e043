"""Metrics of discovery."""

from prometheus_client import CollectorRegistry, generate_latest

from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.telemetry.discovery import DiscoveryMetrics
from tests.support import info


class Followed:
    def age(self):
        return 61.5

    def errors(self):
        return 7


def exported(pods, source=None):
    registry = CollectorRegistry()
    registry.register(DiscoveryMetrics(pods, source))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_pods_from_files():
    assert exported(PodRegistry()) == []


def test_all_of_them():
    pods = PodRegistry()
    for excluded in (None, "not_ready", None, "not_ready"):
        pods.put("k", info(1, excluded=excluded))
    pods.put("k", info(2, "calm"))
    assert exported(pods, Followed()) == [
        'aibrix_gateway_pod_readiness_transitions_total{model="m",to="not_ready"} 2.0',
        'aibrix_gateway_pod_readiness_transitions_total{model="m",to="ready"} 1.0',
        'aibrix_gateway_flapping_pods{model="m"} 1.0',
        'aibrix_gateway_flapping_pods{model="calm"} 0.0',
        "aibrix_gateway_discovery_errors_total 7.0",
        "aibrix_gateway_discovery_age_seconds 61.5",
    ]
