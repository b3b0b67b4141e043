"""The manifests of AIBrix' guide to production deployments are what comes out."""

import json

import pytest
import yaml

from tests.chart.cases_models import model
from tests.chart.engines import container, deployment, engines, template
from tests.chart.rendering import render

READINESS = """
httpGet:
  path: /health
  port: 8000
initialDelaySeconds: 60
periodSeconds: 10
failureThreshold: 30
"""
STRATEGY = """
type: RollingUpdate
rollingUpdate:
  maxUnavailable: 0
  maxSurge: 1
"""
ANNOTATIONS = """
{"profiles": {"default": {"routingStrategy": "least-latency"}}}
{"profiles": {"default": {"routingStrategy": "least-latency", "requestsPerSecond": 50}}}
{"defaultProfile": "default", "profiles": {"default": {"routingStrategy": "least-latency"}, "batch": {"routingStrategy": "throughput"}, "pd": {"routingStrategy": "pd"}}}
{"defaultProfile": "default", "profiles": {"default": {"routingStrategy": "least-latency", "requestsPerSecond": 100}, "batch": {"routingStrategy": "throughput", "requestsPerSecond": 20}}}
"""  # noqa: E501


def test_the_required_labels_are_on_the_pods():
    labels = template()["metadata"]["labels"]
    assert labels["model.aibrix.ai/name"] == "llama"
    assert labels["model.aibrix.ai/port"] == "8000"


@pytest.mark.parametrize("written", ANNOTATIONS.split("\n")[1:-1])
def test_the_config_annotation_says_what_was_written(written):
    values = {"gateway": {"replicas": 1}, **model(config=json.loads(written))}
    annotations = engines(render(values))["llama"]["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(annotations["model.aibrix.ai/config"]) == json.loads(written)


def test_the_practical_readiness_probe_is_a_preset():
    engine = container(probes={"preset": "readiness-only"})
    assert engine["readinessProbe"] == yaml.safe_load(READINESS)
    assert "livenessProbe" not in engine
    assert "startupProbe" not in engine


def test_a_rolling_update_loses_no_capacity():
    assert deployment()["spec"]["strategy"] == yaml.safe_load(STRATEGY)


def test_prefill_and_decode_are_updated_in_separate_rollouts():
    found = engines(render(model(disaggregation={"rolesets": ["a", "b"]})))
    assert sorted(found) == ["llama-a-decode", "llama-a-prefill", "llama-b-decode", "llama-b-prefill"]
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in found.values()]
    roles = {(label["roleset-name"], label["role-name"]) for label in labels}
    assert roles == {("a", "prefill"), ("a", "decode"), ("b", "prefill"), ("b", "decode")}


@pytest.mark.parametrize(
    ("target", "sustainable", "margin", "replicas"),
    [(100, 8, 0.65, 20), (65, 10, 0.65, 10), (13, 20, 0.65, 1), (1, 8, 1, 1), (13.1, 20, 0.65, 2)],
)
def test_replicas_follow_from_a_load_test(target, sustainable, margin, replicas):
    sizing = {"targetRps": target, "sustainableRpsPerReplica": sustainable, "margin": margin}
    assert deployment(sizing=sizing)["spec"]["replicas"] == replicas


def test_the_margin_is_the_guides_unless_another_is_given():
    assert deployment(sizing={"targetRps": 65, "sustainableRpsPerReplica": 10})["spec"]["replicas"] == 10
