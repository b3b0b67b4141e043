"""How many pods a model has, and how they are replaced, disrupted and scaled."""

import pytest

from aibrix_mw.telemetry import families
from tests.chart.cases_models import KEDA, PD, SCALED, model
from tests.chart.engines import PREFIX, deployment, engines, refused
from tests.chart.rendering import find, one, refusal, render


@pytest.mark.parametrize(
    ("rollout", "strategy"),
    [
        ({}, {"maxUnavailable": 0, "maxSurge": 1}),
        ({"maxSurge": 3}, {"maxUnavailable": 0, "maxSurge": 3}),
        ({"maxSurge": "25%"}, {"maxUnavailable": 0, "maxSurge": "25%"}),
        ({"maxSurge": 0, "maxUnavailable": 1}, {"maxUnavailable": 1, "maxSurge": 0}),
        ({"mode": "in-place"}, {"maxUnavailable": 1, "maxSurge": 0}),
        ({"mode": "in-place", "maxUnavailable": 2, "maxSurge": 0}, {"maxUnavailable": 2, "maxSurge": 0}),
    ],
)
def test_strategy(rollout, strategy):
    spec = deployment(rollout=rollout)["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": strategy}
    assert "strategy" not in spec["template"]["spec"]


def test_recreate_has_nothing_to_roll():
    assert deployment(rollout={"mode": "recreate"})["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("rollout", [{"maxSurge": 0}, {"maxSurge": "0%"}, {"maxSurge": 0, "maxUnavailable": "0%"}])
def test_a_rollout_that_could_never_begin_is_refused(rollout):
    assert "models.llama.rollout: maxSurge and maxUnavailable are both zero" in refused(rollout=rollout)


def test_in_place_with_a_pod_to_spare_is_refused():
    said = refused(rollout={"mode": "in-place", "maxSurge": 1})
    assert "models.llama.rollout.maxSurge: mode in-place has no pod to spare" in said


def test_in_place_that_takes_none_away_is_refused():
    said = refused(rollout={"mode": "in-place", "maxUnavailable": 0})
    assert "models.llama.rollout.maxUnavailable: mode in-place takes at least one pod away" in said


def test_recreate_with_numbers_is_refused():
    said = refused(rollout={"mode": "recreate", "maxUnavailable": 1})
    assert "models.llama.rollout: mode recreate ends all pods at once" in said


@pytest.mark.parametrize(("values", "replicas"), [({}, 1), ({"replicas": 0}, 0), ({"replicas": 3}, 3)])
def test_replicas(values, replicas):
    assert deployment(values)["spec"]["replicas"] == replicas


def test_given_replicas_count_before_a_size():
    sizing = {"targetRps": 100, "sustainableRpsPerReplica": 1, "margin": 1}
    assert deployment(replicas=2, sizing=sizing)["spec"]["replicas"] == 2


def test_of_replicas_and_size_the_nearer_counts():
    sizing = {"targetRps": 100, "sustainableRpsPerReplica": 10, "margin": 1}
    values = {"modelDefaults": {"replicas": 2}, "models": {"a": {"sizing": sizing}, "b": {}}}
    found = engines(render(values))
    assert (found["a"]["spec"]["replicas"], found["b"]["spec"]["replicas"]) == (10, 2)


@pytest.mark.parametrize("scaled", [SCALED, KEDA])
def test_an_autoscaler_has_the_number_for_itself(scaled):
    assert "replicas" not in deployment(scaled, replicas=3)["spec"]


# --- disruption


def budgets(*parts, kubernetes="1.34.0", **values):
    objects = render(model(*parts, **values), kubernetes=kubernetes)
    return [item["spec"] for item in find(objects, "PodDisruptionBudget", PREFIX + "llama")]


def test_what_an_old_api_server_does_not_know_is_left_out():
    (budget,) = budgets(replicas=2, kubernetes="1.26.9")
    assert "unhealthyPodEvictionPolicy" not in budget


def test_a_budget_where_there_are_several_pods():
    (budget,) = budgets(replicas=2)
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == deployment(replicas=2)["spec"]["selector"]


@pytest.mark.parametrize(
    "values", [{}, {"replicas": 0}, {"replicas": 1}, {"replicas": 2, "podDisruptionBudget": {"enabled": False}}]
)
def test_no_budget_for_one_pod_or_where_none_is_wanted(values):
    assert budgets(values) == []


def test_a_budget_follows_what_an_autoscaler_may_reach():
    assert len(budgets(SCALED)) == 1
    assert budgets({"autoscaling": {"enabled": True, "maxReplicas": 1}}) == []


@pytest.mark.parametrize("given", [0, "0%", "30%", 2])
def test_a_budget_is_rendered_as_given_also_zero(given):
    (budget,) = budgets(replicas=4, podDisruptionBudget={"maxUnavailable": given})
    assert budget["maxUnavailable"] == given


def test_a_budget_of_minavailable_is_not_to_be_had():
    said = refused(replicas=2, podDisruptionBudget={"minAvailable": 0})
    assert "minAvailable" in said
    assert "podDisruptionBudget" in said


# --- autoscaling


def test_hpa_scales_on_the_gateways_in_flight_requests():
    spec = one(
        render(model(SCALED, autoscaling={"enabled": True, "target": 24})), "HorizontalPodAutoscaler", PREFIX + "llama"
    )["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": PREFIX + "llama"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    assert spec["metrics"] == [
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": "aibrix_gateway_in_flight_requests",
                    "selector": {"matchLabels": {"model": "llama"}},
                },
                "target": {"type": "AverageValue", "averageValue": "24"},
            },
        }
    ]
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 600}}


@pytest.mark.parametrize("name", ["llama", "meta-llama/Llama-3.1-8B", 'a"b\\c'])
def test_keda_asks_prometheus(name):
    spec = one(render(model(KEDA, name=name)), "ScaledObject", PREFIX + "llama")["spec"]
    (trigger,) = spec["triggers"]
    metadata = trigger["metadata"]
    assert metadata["serverAddress"] == "http://prometheus.monitoring:9090"
    assert metadata["threshold"] == "32"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert metadata["query"] == f'sum(aibrix_gateway_in_flight_requests{{model="{escaped}"}})'
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 600}}


def test_the_metric_is_one_of_the_gateways():
    assert (families.IN_FLIGHT.name, families.IN_FLIGHT.labels) == ("aibrix_gateway_in_flight_requests", ("model",))


def test_rolesets_share_what_is_in_flight():
    objects = render(model(PD, SCALED, disaggregation={"rolesets": ["a", "b"]}))
    targets = [
        item["spec"]["metrics"][0]["external"]["target"]["averageValue"]
        for item in find(objects, "HorizontalPodAutoscaler")
    ]
    assert targets == ["64"] * 4


def test_the_metric_has_the_name_under_which_the_gateway_knows_the_model():
    values = {**model(KEDA), "settings": {"discovery": {"kubernetes": {"model_scope": "namespace"}}}}
    (scaled,) = find(render(values), "ScaledObject")
    assert 'model="llm/llama"' in scaled["spec"]["triggers"][0]["metadata"]["query"]


def test_a_scale_down_at_once_may_be_asked_for():
    objects = render(model(autoscaling={"enabled": True, "scaleDownStabilization": 0}))
    (scaler,) = find(objects, "HorizontalPodAutoscaler", PREFIX + "llama")
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 0


def test_hpa_for_a_name_that_no_label_holds_is_refused():
    said = refused(SCALED, name="meta-llama/Llama-3.1-8B")
    assert "models.llama.autoscaling.kind: hpa selects the metric by a label, and no label can hold meta-llama/" in said


def test_keda_without_prometheus_is_refused():
    assert "models.llama.autoscaling.prometheus: keda asks Prometheus" in refused(KEDA, autoscaling={"prometheus": ""})


def test_more_at_least_than_at_most_is_refused():
    assert "models.llama.autoscaling.minReplicas: is above maxReplicas" in refused(
        SCALED, autoscaling={"minReplicas": 5}
    )


def test_scaling_to_zero_is_refused_with_its_path():
    said = refusal(model(SCALED, autoscaling={"minReplicas": 0}))
    assert "/models/llama/autoscaling/minReplicas" in said
