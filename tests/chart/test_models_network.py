"""Who may reach an engine, and who scrapes it."""

import pytest

from tests.chart.cases_models import PD, model
from tests.chart.engines import PREFIX, engines
from tests.chart.pieces import merged
from tests.chart.rendering import find, one, render

ON = {"networkPolicy": {"enabled": True}}
SCRAPED = {"monitoring": {"podMonitor": {"enabled": True}, "labels": {"release": "prometheus"}}}
GATEWAY = {
    "app.kubernetes.io/name": "aibrix-mw",
    "app.kubernetes.io/instance": "gw",
    "app.kubernetes.io/component": "gateway",
}
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def policy(objects, workload="llama"):
    return one(objects, "NetworkPolicy", PREFIX + workload)["spec"]


def test_none_by_default():
    assert not find(render(model()), "NetworkPolicy")


def test_only_gateways_and_monitoring_reach_an_engine():
    objects = render(merged(model(), ON))
    shown = policy(objects)
    assert shown["podSelector"] == engines(objects)["llama"]["spec"]["selector"]
    assert shown["policyTypes"] == ["Ingress"]
    assert shown["ingress"] == [
        {"ports": [{"port": "http"}], "from": [{"podSelector": {"matchLabels": GATEWAY}}, MONITORING]}
    ]


def test_the_gateways_pods_are_those_that_are_let_in():
    objects = render(merged(model(), ON))
    assert (
        one(objects, "Deployment", "gw-aibrix-mw")["spec"]["template"]["metadata"]["labels"].items() >= GATEWAY.items()
    )


def test_gateways_of_other_releases_may_be_let_in():
    other = {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {"matchLabels": {"app": "gateway"}}}
    values = merged(
        model(), ON, {"gateway": {"enabled": False}, "networkPolicy": {"gateways": [other], "monitoring": []}}
    )
    assert policy(render(values))["ingress"] == [{"ports": [{"port": "http"}], "from": [other]}]


@pytest.mark.parametrize(("role", "other"), [("prefill", "decode"), ("decode", "prefill")])
def test_the_legs_of_a_roleset_reach_each_other_on_all_ports(role, other):
    objects = render(merged(model(PD, disaggregation={"rolesets": ["a", "b"]}), ON))
    first, second = policy(objects, f"llama-a-{role}")["ingress"]
    assert first["ports"] == [{"port": "http"}]
    assert second.keys() == {"from"}
    (peer,) = second["from"]
    labels = peer["podSelector"]["matchLabels"]
    reached = [
        name
        for name, item in engines(objects).items()
        if labels.items() <= item["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert reached == [f"llama-a-{other}"]


def test_the_serving_port_is_the_one_of_that_name():
    objects = render(merged(model(port=9000), ON))
    (engine,) = engines(objects)["llama"]["spec"]["template"]["spec"]["containers"]
    assert engine["ports"] == [{"name": policy(objects)["ingress"][0]["ports"][0]["port"], "containerPort": 9000}]


# --- PodMonitor


def test_engines_are_scraped_together_and_nothing_else_is():
    objects = render(merged(model(PD), {"models": {"b": {"name": "org/b"}}}, SCRAPED))
    monitor = one(objects, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("http", "/metrics", "15s")
    selector = monitor["spec"]["selector"]
    ((rule),) = selector["matchExpressions"]
    assert rule == {"key": "model.aibrix.ai/port", "operator": "Exists"}
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"] for item in find(objects, "Deployment")
    }
    chosen = [
        name
        for name, labels in pods.items()
        if selector["matchLabels"].items() <= labels.items() and rule["key"] in labels
    ]
    assert sorted(chosen) == [PREFIX + "b", PREFIX + "llama-a-decode", PREFIX + "llama-a-prefill"]


def test_series_carry_the_model_wherever_its_name_stands():
    (endpoint,) = one(render(merged(model(), SCRAPED)), "PodMonitor")["spec"]["podMetricsEndpoints"]
    (rule,) = [item for item in endpoint["relabelings"] if item["targetLabel"] == "model"]
    assert rule["separator"] == ""
    assert rule["sourceLabels"] == [
        f"__meta_kubernetes_pod_{kind}_model_aibrix_ai_name" for kind in ("label", "annotation")
    ]


def test_nothing_is_scraped_without_models_or_consent():
    assert not find(render(SCRAPED), "PodMonitor")
    assert not find(render(model()), "PodMonitor")
