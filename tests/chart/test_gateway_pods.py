"""The gateway's Deployment and what goes with it."""

import pytest

from tests.chart.checks import pod
from tests.chart.pieces import SCALED, TRAP_TEXTS, gateway, merged, settings
from tests.chart.rendering import find, one, render

NAME = "gw-aibrix-mw"
SELECTOR = {
    "app.kubernetes.io/name": "aibrix-mw",
    "app.kubernetes.io/instance": "gw",
    "app.kubernetes.io/component": "gateway",
}


def deployment(values=None, **options):
    return one(render(values, **options), "Deployment", NAME)


def container(values=None):
    (found,) = [item for item in pod(render(values), "Deployment", NAME)["containers"] if item["name"] == "gateway"]
    return found


# -- what runs


def test_defaults():
    spec = deployment()["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert "strategy" not in spec["template"]["spec"]
    budget = one(render(), "PodDisruptionBudget", NAME)
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}}
    resources = container()["resources"]
    assert resources == {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def test_probes_are_all_on_the_admin_port():
    gateway = container()
    admin = {"path": "/healthz", "port": "admin"}
    assert gateway["startupProbe"] == {"httpGet": admin, "periodSeconds": 2, "failureThreshold": 30}
    assert gateway["livenessProbe"] == {
        "httpGet": admin,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 6,
    }
    assert gateway["readinessProbe"] == {
        "httpGet": {"path": "/readyz", "port": "admin"},
        "periodSeconds": 2,
        "timeoutSeconds": 2,
        "failureThreshold": 2,
    }


def test_ports_follow_the_settings():
    ports = container(settings(listen={"port": 9000, "admin_port": 9001}))["ports"]
    assert ports == [
        {"name": "http", "containerPort": 9000, "protocol": "TCP"},
        {"name": "admin", "containerPort": 9001, "protocol": "TCP"},
    ]


@pytest.mark.parametrize(
    ("delay", "grace", "seconds"),
    [(5, 540, 560), (0, 540, 555), (5, 0, 20), (0, 0, 15), (0.5, 30.25, 46), (20, 60, 95)],
)
def test_grace_is_what_draining_takes(delay, grace, seconds):
    """Zero is a number too: `x | default 15` would make 15 of it."""
    values = settings(shutdown={"delay": delay, "grace": grace})
    assert pod(render(values), "Deployment", NAME)["terminationGracePeriodSeconds"] == seconds


def test_zero_replicas_stay_zero():
    assert deployment(gateway(replicas=0))["spec"]["replicas"] == 0


def test_replicas_are_not_rendered_beside_an_autoscaler():
    objects = render(SCALED)
    assert "replicas" not in one(objects, "Deployment", NAME)["spec"]
    scaler = one(objects, "HorizontalPodAutoscaler", NAME)["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 10)
    assert scaler["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 600}}
    at_once = render(merged(SCALED, gateway(autoscaling={"scaleDownStabilization": 0})))
    assert one(at_once, "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize(
    ("budget", "spec"),
    [
        ({"maxUnavailable": 0}, {"maxUnavailable": 0}),
        ({"maxUnavailable": "20%"}, {"maxUnavailable": "20%"}),
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"minAvailable": 1, "maxUnavailable": None}, {"minAvailable": 1}),
    ],
    ids=str,
)
def test_budget_has_what_was_written(budget, spec):
    found = one(render(gateway(podDisruptionBudget=budget)), "PodDisruptionBudget", NAME)["spec"]
    del found["selector"]
    assert found == spec


def test_no_budget():
    assert find(render(gateway(podDisruptionBudget={"enabled": False})), "PodDisruptionBudget") == []


# -- where it runs


def test_pods_spread_over_zones_and_hosts():
    constraints = pod(render(), "Deployment", NAME)["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert [item["labelSelector"] for item in constraints] == [{"matchLabels": SELECTOR}] * 2


def test_own_spread():
    assert "topologySpreadConstraints" not in pod(render(gateway(topologySpreadConstraints=[])), "Deployment", NAME)
    selector = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    own = {"maxSkew": 3, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    (found,) = pod(render(gateway(topologySpreadConstraints=[own])), "Deployment", NAME)["topologySpreadConstraints"]
    assert found["labelSelector"]["matchExpressions"] == selector["matchExpressions"]
    assert (found["maxSkew"], found["topologyKey"]) == (3, "rack")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tolerations", [{"key": "k", "operator": "Exists"}]),
        ("affinity", {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
        ("priorityClassName", "high"),
        ("nodeSelector", {"pool": "cpu"}),
    ],
)
def test_placement(key, value):
    assert pod(render(gateway(**{key: value})), "Deployment", NAME)[key] == value


# -- names, labels, images


@pytest.mark.parametrize("text", [text for text in TRAP_TEXTS if ":" not in text])
def test_texts_that_look_like_something_else_stay_texts(text):
    objects = render(merged({"commonLabels": {"t": text}}, gateway(podLabels={"p": text}, podAnnotations={"a": text})))
    found = one(objects, "Deployment", NAME)
    template = found["spec"]["template"]["metadata"]
    assert found["metadata"]["labels"]["t"] == text
    assert (template["labels"]["p"], template["annotations"]["a"]) == (text, text)


@pytest.mark.parametrize(
    ("value", "text"), [(8000, "8000"), (67108864, "67108864"), (1e3, "1000"), (0.5, "0.5"), (True, "true"), (0, "0")]
)
def test_numbers_and_booleans_become_texts(value, text):
    assert deployment(gateway(annotations={"a": value}))["metadata"]["annotations"] == {"a": text}


def test_labels_of_an_upgrade_do_not_touch_selectors_and_pods():
    spec = deployment({"commonLabels": {"owner": "ml"}})["spec"]
    assert spec["selector"]["matchLabels"] == SELECTOR
    assert spec["template"]["metadata"]["labels"] == {**SELECTOR, "owner": "ml"}


def test_names():
    assert one(render(release="aibrix-mw-edge"), "Deployment")["metadata"]["name"] == "aibrix-mw-edge"
    assert one(render({"fullnameOverride": "edge"}), "Deployment")["metadata"]["name"] == "edge"
    assert one(render({"nameOverride": "llm"}), "Deployment")["metadata"]["name"] == "gw-llm"


def test_long_names_are_cut_and_told_apart():
    names = []
    for last in "ab":
        release = "r" * 52 + last
        objects = render(
            {"monitoring": {"dashboards": {"enabled": True}}, "valkey": {"enabled": True}}, release=release
        )
        names += [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert max(len(name) for _, name in names) <= 63
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "aibrix-mw:0.1.0"),
        ({"tag": "1.2"}, "aibrix-mw:1.2"),
        ({"digest": "sha256:" + "a" * 64, "tag": "1.2"}, "aibrix-mw@sha256:" + "a" * 64),
        ({"repository": "registry:5000/x/y"}, "registry:5000/x/y:0.1.0"),
    ],
    ids=["default", "tag", "digest", "repository"],
)
def test_image(image, reference):
    assert container({"image": image})["image"] == reference
    assert {item["spec"]["containers"][0]["image"] for item in find(render({"image": image}), "Pod")} == {reference}


def test_namespace_is_the_release_s():
    objects = render({"valkey": {"enabled": True}, "networkPolicy": {"enabled": True}}, namespace="elsewhere")
    assert {item["metadata"]["namespace"] for item in objects} == {"elsewhere"}
    assert one(objects, "RoleBinding")["subjects"][0]["namespace"] == "elsewhere"


def test_gateway_can_be_left_out():
    objects = render({"gateway": {"enabled": False}, "models": {"m": {}}})
    names = {item["metadata"]["labels"]["app.kubernetes.io/component"] for item in objects}
    assert not names & {"gateway", "admin", "valkey", "test"}
    assert objects
