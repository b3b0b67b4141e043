"""What the chart refuses of models: each contradiction with its sentence, each wrong or unknown value with its path."""

import json
from typing import Any

import pytest

from tests.chart.cases_models import PD, model
from tests.chart.engines import engines, refused
from tests.chart.pieces import merged
from tests.chart.rendering import CHART, refusal, render

DEFINITIONS = json.loads((CHART / "values.schema.json").read_text())["$defs"]


@pytest.mark.parametrize(
    ("args", "option", "value"),
    [
        (["--port", "9000"], "--port", "port"),
        (["--port=9000"], "--port", "port"),
        (["--revision=abc"], "--revision", "revision"),
        (["--shutdown-timeout", "5"], "--shutdown-timeout", "drain.shutdownTimeout"),
        (["--model", "x"], "--model", "source"),
    ],
)
def test_an_option_that_is_a_value_of_its_own(args, option, value):
    assert f"models.llama.args: sets {option}; set {value} instead" in refused(args=args)


def test_an_option_that_only_begins_alike():
    assert engines(render(model(args=["--port-of-something=1", "--model-impl=vllm"])))


def test_adapters_are_given_once():
    said = refused(args=["--lora-modules", "a=b"], adapters={"a": "b"})
    assert "models.llama.args: sets --lora-modules; set adapters instead" in said
    assert engines(render(model(args=["--lora-modules", "a=b"])))


@pytest.mark.parametrize(("option", "value"), [("--port", "port"), ("--model", "name"), ("--adapter", "adapters")])
def test_an_option_of_the_simulated_engine(option, value):
    assert f"models.llama.args: sets {option}; set {value} instead" in refused(engine="simulated", args=[option, "1"])


@pytest.mark.parametrize(
    "label",
    [
        "app.kubernetes.io/name",
        "app.kubernetes.io/component",
        "app.kubernetes.io/part-of",
        "model.aibrix.ai/name",
        "model.aibrix.ai/port",
    ],
)
def test_labels_of_the_chart_are_not_given_twice(label):
    assert f"models.llama.labels: {label} is the chart's own" in refused(labels={label: "x"})


def test_labels_of_roles_are_the_charts_own_where_there_are_roles():
    assert "labels: role-name is the chart's own" in refused(PD, labels={"role-name": "x"})
    found = engines(render(model(labels={"role-name": "decode", "roleset-name": "a"})))
    assert found["llama"]["spec"]["template"]["metadata"]["labels"]["role-name"] == "decode"


@pytest.mark.parametrize(("key", "value"), [("name", "name"), ("config", "config"), ("adapters", "adapters")])
def test_annotations_of_the_chart_are_not_given_twice(key, value):
    said = refused(annotations={f"model.aibrix.ai/{key}": "x"})
    assert f"models.llama.annotations: model.aibrix.ai/{key} is made of {value}" in said


def test_engines_that_the_gateway_does_not_look_for():
    said = refusal({**model(), "settings": {"discovery": {"kubernetes": {"enabled": False}}}})
    assert "settings.discovery.kubernetes.enabled: is false: the gateway would not find the engines of models" in said
    said = refusal({**model(), "settings": {"discovery": {"kubernetes": {"namespaces": ["other"]}}}})
    assert "settings.discovery.kubernetes.namespaces: llm, where the engines of models go, is not among them" in said


def test_engines_that_no_gateway_could_reach():
    said = refusal({**model(), "gateway": {"enabled": False}, "networkPolicy": {"enabled": True}})
    assert "networkPolicy.gateways: is empty and gateway.enabled is false: no gateway could reach the engines" in said


def test_two_workloads_of_one_object_name():
    values = {"models": {"a": {"disaggregation": {"rolesets": ["b"]}}, "a-b-prefill": {}}}
    assert "its object gw-aibrix-mw-engine-a-b-prefill would also be that of models.a" in refusal(values)


def test_a_key_that_yaml_has_made_a_boolean():
    said = refusal(model(key="true"))
    assert "models.true: is what YAML makes of keys such as on, no and null: quote the key" in said


def test_faults_are_told_all_at_once_and_each_once():
    said = refused(PD, {"rollout": {"maxSurge": 0}, "args": ["--port=1"]}, disaggregation={"rolesets": ["a", "b"]})
    for role in ("prefill", "decode"):
        assert said.count(f"models.llama.disaggregation.{role}.rollout: maxSurge and maxUnavailable are both zero") == 1
        assert said.count(f"models.llama.disaggregation.{role}.args: sets --port") == 1


# --- the schema

OBJECTS = [
    "",
    "autoscaling",
    "gpu",
    "probes",
    "probes/startup",
    "drain",
    "rollout",
    "podDisruptionBudget",
    "disaggregation",
    "disaggregation/prefill",
    "disaggregation/decode",
    "cache",
    "hfTokenSecret",
    "sizing",
    "config",
]


def nested(path, value):
    """The value of a model in which `path` is `value`."""
    for key in reversed([part for part in path.split("/") if part]):
        value = {key: value}
    return value


@pytest.mark.parametrize("path", OBJECTS)
@pytest.mark.parametrize("where", ["models/llama", "modelDefaults"])
def test_an_unknown_key_is_named_with_its_path(where, path):
    given = nested(f"{where}/{path}/replica", 1)
    said = refusal(merged(given, nested(f"{where}/{path}", {"profiles": {"default": {}}} if path == "config" else {})))
    assert f"at '/{where}{'/' * bool(path)}{path}': additional properties 'replica' not allowed" in said


@pytest.mark.parametrize("key", DEFINITIONS["model"]["properties"])
@pytest.mark.parametrize("wrong", [None, ["x", 1]])
def test_a_value_of_a_wrong_type_is_named_with_its_path(key, wrong):
    assert f"at '/models/llama/{key}" in refusal(model({key: wrong}))


@pytest.mark.parametrize("key", DEFINITIONS["role"]["properties"])
def test_a_value_of_a_role_of_a_wrong_type_is_named_with_its_path(key):
    assert f"at '/models/llama/disaggregation/decode/{key}" in refused(PD, disaggregation={"decode": {key: ["x", 1]}})


WRONG: dict[str, list[Any]] = {
    "image": ["vllm/vllm-openai", "vllm/vllm-openai:latest", "registry:5000/vllm", "vllm/vllm-openai@sha256:1", ""],
    "name": ["", "a b", "a,b", "ü", "x" * 254],
    "port": [0, 65536, 80.5, "8000"],
    "replicas": [-1, 1.5, "2"],
    "engine": ["sglang", "VLLM"],
    "configIn": ["settings"],
    "rollout/mode": ["Recreate"],
    "rollout/maxSurge": [-1, "1", "101%"],
    "sizing/margin": [0, 1.1],
    "sizing/sustainableRpsPerReplica": [0],
    "autoscaling/kind": ["vpa"],
    "autoscaling/minReplicas": [0],
    "autoscaling/target": [0],
    "probes/loadSeconds": [0],
    "probes/preset": ["none"],
    "probes/startup/periodSeconds": [0],
    "drain/preStopSeconds": [-1, 0.5],
    "gpu/count": [-1],
    "cache/type": ["nfs"],
    "cache/size": ["many", 5],
    "cache/mountPath": ["cache"],
    "shmSize": ["8 GiB", "8", 8],
    "labels/t": [8000, 1e3, True, None],
    "annotations/t": [8000, False],
    "nodeSelector/gpu": [True],
    "env/0/value": [8000],
    "args/0": [8000],
    "disaggregation/rolesets/0": ["A", "a_b", "", "r" * 41],
    "disaggregation/compatibility": ["a b", "c" * 64],
    "adapters/sql": ["", 1],
    "runAsUser": [0],
}


@pytest.mark.parametrize(("path", "wrong"), [(path, wrong) for path, values in WRONG.items() for wrong in values])
def test_a_wrong_value_is_named_with_its_path(path, wrong):
    key, zero, rest = path.partition("/0")
    given = nested(key, [nested(rest, wrong) if rest else wrong] if zero else wrong)
    if path.startswith("env"):
        given["env"][0]["name"] = "A"
    if path.startswith("sizing"):
        given["sizing"] = {"targetRps": 1, "sustainableRpsPerReplica": 1, "margin": 1} | given["sizing"]
    assert f"at '/models/llama/{path}'" in refusal(model(given))


@pytest.mark.parametrize("key", ["Llama", "llama.3", "-a", "a" * 51, "meta-llama/Llama"])
def test_a_key_that_could_be_no_name_is_refused(key):
    assert f"at '/models': additional properties '{key}' not allowed" in refusal(model(key=key))


@pytest.mark.parametrize("adapter", ["a,b", "a=b", "a b", ""])
def test_an_adapter_that_could_not_be_announced_is_refused(adapter):
    assert "at '/models/llama/adapters'" in refused(adapters={adapter: "x"})


@pytest.mark.parametrize("half", ["targetRps", "sustainableRpsPerReplica"])
def test_a_size_is_given_whole(half):
    assert "models.llama.sizing: needs targetRps and sustainableRpsPerReplica both" in refused(sizing={half: 5})


@pytest.mark.parametrize("key", ["drain", "probes", "cache", "image"])
def test_a_default_cannot_be_taken_away(key):
    assert f"at '/modelDefaults': missing property '{key}'" in refusal(
        {"modelDefaults": {key: None}, "models": {"a": {}}}
    )


def test_a_name_is_a_models_own():
    assert "at '/modelDefaults/name'" in refusal({"modelDefaults": {"name": "x"}})
