"""What Prometheus and Grafana find: monitors, alerts, dashboards."""

import json

import yaml

from tests.chart.pieces import gateway, merged
from tests.chart.rendering import CHART, find, one, render

NAME = "gw-aibrix-mw"
LABELS = {"labels": {"release": "prometheus"}}


def monitoring(**values):
    return {"monitoring": {**LABELS, **values}}


def test_nothing_unless_asked():
    kinds = {item["kind"] for item in render({"models": {"m": {}}})}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def test_service_monitor_finds_the_admin_service_and_no_other():
    objects = render(monitoring(serviceMonitor={"enabled": True}, interval="30s"))
    monitor = one(objects, "ServiceMonitor", NAME)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    chosen = [
        item["metadata"]["name"] for item in find(objects, "Service") if wanted <= item["metadata"]["labels"].items()
    ]
    assert chosen == [f"{NAME}-admin"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "admin", "path": "/metrics", "interval": "30s"}
    assert endpoint["port"] in {port["name"] for port in one(objects, "Service", f"{NAME}-admin")["spec"]["ports"]}
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["llm"]}


def test_alerts_are_those_of_the_package():
    rule = one(render(monitoring(prometheusRule={"enabled": True})), "PrometheusRule", NAME)
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"] == yaml.safe_load((CHART / "alerts" / "aibrix-mw.yaml").read_text())
    assert rule["spec"]["groups"]


def test_each_dashboard_is_a_config_map():
    objects = render(monitoring(dashboards={"enabled": True, "annotations": {"folder": "LLM"}}))
    maps = [item for item in find(objects, "ConfigMap") if "-dashboard-" in item["metadata"]["name"]]
    files = {file.name: json.loads(file.read_text()) for file in (CHART / "dashboards").glob("*.json")}
    assert files
    assert {name: json.loads(text) for item in maps for name, text in item["data"].items()} == files
    for item in maps:
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"folder": "LLM"}
        assert len(json.dumps(item)) < 1_000_000  # etcd's bound is 1.5 MB


def test_labels_that_both_give_are_there_once():
    both = {"commonLabels": {"release": "other"}}
    rendered = render(merged(both, monitoring(serviceMonitor={"enabled": True})))
    assert one(rendered, "ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus"


def test_alerts_and_dashboards_need_no_gateway():
    """Where the gateway belongs to another team, they may still be wanted beside the models."""
    values = merged(gateway(enabled=False), {"models": {"m": {}}}, monitoring(prometheusRule={"enabled": True}))
    assert find(render(values), "PrometheusRule")
