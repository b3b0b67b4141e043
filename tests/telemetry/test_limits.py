"""Families of counting."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.telemetry.limits import LimitMetrics


def samples(limiter, limits=None, trips=()):
    metrics = LimitMetrics(limiter, lambda: limits or {})
    for trip in trips:
        metrics.trips[()].observe(trip)
    registry = CollectorRegistry()
    registry.register(metrics)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_the_limits_in_force():
    found = samples(open_limiter(), {("m", "default"): 50, ("m", ""): 100})
    assert found["aibrix_gateway_rps_limit", "m", "default"] == 50
    assert found["aibrix_gateway_rps_limit", "m", ""] == 100


def test_trips():
    found = samples(open_limiter(), trips=[0.00015, 0.3])
    assert found["aibrix_gateway_store_duration_seconds_bucket", "0.0001"] == 0
    assert found["aibrix_gateway_store_duration_seconds_bucket", "0.0002"] == 1
    assert found["aibrix_gateway_store_duration_seconds_count",] == 2


@pytest.mark.parametrize(("away", "local"), [(None, 0), ("ConnectionError", 1)])
def test_the_state_of_the_store(away, local):
    limiter = open_limiter("redis://127.0.0.1:1")
    limiter.breaker.away, limiter.store_errors = away, 7
    found = samples(limiter)
    assert found["aibrix_gateway_store_shared",] == 1
    assert found["aibrix_gateway_store_local",] == local
    assert found["aibrix_gateway_store_errors_total",] == 7
    assert samples(open_limiter())["aibrix_gateway_store_shared",] == 0
