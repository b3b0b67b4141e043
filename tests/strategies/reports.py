"""Pods with what engines report of them, for tests."""

from typing import Any

from aibrix_mw.pods.engine_metrics import EngineMetrics
from tests.support import Clock, make_pods

NOW = 100.0


def clock():
    return Clock(NOW)


def reported(*reports: dict[str, Any] | None, in_flight=()):
    """Pods with these fresh reports; None is a pod that was never scraped."""
    pods = make_pods(len(reports))
    for pod, report in zip(pods, reports, strict=True):
        if report is not None:
            pod.metrics = EngineMetrics(**({"expires": NOW + 3} | report))
    for pod, count in zip(pods, in_flight, strict=False):
        pod.in_flight = count
    return pods
