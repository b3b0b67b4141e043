"""The pods of a model: labels, annotations, command line, environment."""

import pytest

from aibrix_mw.pods.manifest import read_pod
from tests.chart.cases_models import LONG, PD, model
from tests.chart.engines import container, deployment, engines, pod, template, variables
from tests.chart.pieces import TRAP_TEXTS
from tests.chart.rendering import find, render


def seen(values, *flags, **options):
    """The pods as the gateway reads them."""
    found = engines(render(values, *flags, **options)).values()
    return [read_pod({"metadata": {"name": "x", **item["spec"]["template"]["metadata"]}}) for item in found]


@pytest.mark.parametrize(
    "name", ["llama-3", "meta-llama/Llama-3.1-8B", "n" * 63, "n" * 64, "-dash", "gpt:20b", *TRAP_TEXTS]
)
def test_the_gateway_reads_the_name_that_was_given(name):
    (found,) = seen(model(name=name))
    assert found.model == name


@pytest.mark.parametrize(("name", "labelled"), [("n" * 63, True), ("n" * 64, False), ("a/b", False), ("a.b_c-D", True)])
def test_a_name_that_no_label_holds_is_an_annotation(name, labelled):
    metadata = template(name=name)["metadata"]
    assert ("model.aibrix.ai/name" in metadata["labels"]) is labelled
    assert ("model.aibrix.ai/name" in metadata.get("annotations", {})) is not labelled


def test_port_label_container_port_probes_and_argument_are_one_number():
    shown = template(port=9000)
    (engine,) = shown["spec"]["containers"]
    assert shown["metadata"]["labels"]["model.aibrix.ai/port"] == "9000"
    assert engine["ports"] == [{"name": "http", "containerPort": 9000}]
    assert "--port=9000" in engine["args"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert engine[probe]["httpGet"] == {"path": "/health", "port": 9000}


def test_vllm_serves_the_weights_under_the_name():
    engine = container(name="llama", source="meta-llama/Llama-3.1-8B", revision="0e9e", args=["--max-model-len=8192"])
    assert engine["command"] == ["vllm", "serve"]
    assert engine["args"] == [
        "meta-llama/Llama-3.1-8B",
        "--served-model-name=llama",
        "--revision=0e9e",
        "--shutdown-timeout=540",
        "--port=8000",
        "--max-model-len=8192",
    ]


def test_a_first_argument_without_a_dash_names_the_weights():
    assert container(args=["/models/x", "--seed=1"])["args"] == [
        "/models/x",
        "--served-model-name=llama",
        "--shutdown-timeout=540",
        "--port=8000",
        "--seed=1",
    ]


def test_names_given_by_arguments_are_left_alone():
    assert container(args=["--served-model-name", "llama", "gpt-4o"])["args"].count("--served-model-name=llama") == 0


def test_adapters_are_loaded_and_announced():
    shown = template(adapters={"sql": "org/sql-lora", "chat": "/adapters/chat"})
    (engine,) = shown["spec"]["containers"]
    at = engine["args"].index("--lora-modules")
    assert engine["args"][at - 1 : at + 3] == [
        "--enable-lora",
        "--lora-modules",
        "chat=/adapters/chat",
        "sql=org/sql-lora",
    ]
    (found,) = seen(model(adapters={"sql": "org/sql-lora", "chat": "/adapters/chat"}))
    assert set(found.adapters) == {"chat", "sql"}


def test_the_simulated_engine_is_our_own_image_without_a_gpu():
    shown = pod(
        engine="simulated",
        adapters={"sql": "x"},
        args=["--load-seconds", "5"],
        gpu={"count": 4},
        drain={"supportsShutdownTimeout": False},
    )
    (engine,) = shown["containers"]
    assert engine["image"] == "aibrix-mw:0.1.0"
    assert engine["command"] == ["aibrix-mw", "engine"]
    assert engine["args"] == [
        "--model",
        "llama",
        "--host",
        "0.0.0.0",
        "--name",
        "$(POD_NAME)",
        "--adapter",
        "sql",
        "--port=8000",
        "--load-seconds",
        "5",
    ]
    assert "nvidia.com/gpu" not in str(engine["resources"])
    assert "volumes" not in shown
    assert engine["lifecycle"]["preStop"] == {"sleep": {"seconds": 15}}


def test_the_simulated_engine_takes_what_the_chart_tells_it():
    from click.testing import CliRunner

    from aibrix_mw.cli import main

    engine = container(engine="simulated", adapters={"sql": "x"})
    assert engine["command"] == ["aibrix-mw", "engine"]
    told = CliRunner().invoke(main, ["engine", *engine["args"], "--max-running", "0"])
    assert "max_running" in told.output  # all else was taken


def test_a_simulated_model_may_name_an_image_but_takes_no_default_of_vllm():
    values = {
        "modelDefaults": {"image": "vllm/vllm-openai:v9"},
        "models": {"a": {"engine": "simulated"}, "b": {"engine": "simulated", "image": "own:1"}, "c": {}},
    }
    images = {
        name: item["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, item in engines(render(values)).items()
    }
    assert images == {"a": "aibrix-mw:0.1.0", "b": "own:1", "c": "vllm/vllm-openai:v9"}


def test_gpus_are_requested_and_limited_beside_other_resources():
    given = {"requests": {"cpu": 4, "memory": 2000000000}, "limits": {"memory": "64Gi"}}
    resources = container(gpu={"count": 2}, resources=given)["resources"]
    assert resources["requests"] == {"cpu": "4", "memory": "2000000000", "nvidia.com/gpu": "2"}
    assert resources["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "2"}
    assert "resources" not in container(gpu={"count": 0})
    assert container(gpu={"resource": "amd.com/gpu"})["resources"]["limits"] == {"amd.com/gpu": "1"}


def test_caches_are_where_the_volume_is_and_own_variables_win():
    found = variables(env=[{"name": "HF_HOME", "value": "/elsewhere"}, {"name": "N", "value": "8000"}])
    assert found["HF_HOME"] == "/elsewhere"
    assert found["N"] == "8000"
    for name in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        assert found[name].startswith("/cache/")


def test_a_token_comes_from_a_secret():
    found = variables(hfTokenSecret={"name": "hf", "key": "t"})
    assert found["HF_TOKEN"] == {"secretKeyRef": {"name": "hf", "key": "t"}}
    assert "HF_TOKEN" not in variables()


def test_services_of_the_namespace_become_no_variables_and_no_token_is_mounted():
    shown = pod(serviceAccountName="engines")
    assert shown["enableServiceLinks"] is False
    assert shown["automountServiceAccountToken"] is False
    assert shown["serviceAccountName"] == "engines"
    assert not [item for item in find(render(model(key="vllm")), "Service") if "engine" in item["metadata"]["name"]]


def test_what_places_a_pod_is_handed_through():
    given = {
        "nodeSelector": {"gpu": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "runtimeClassName": "nvidia",
        "priorityClassName": "high",
    }
    shown = pod(given)
    assert {key: shown[key] for key in given} == given


def test_spreading_selects_the_workloads_own_pods():
    spread = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}]
    shown = deployment(topologySpreadConstraints=spread)
    (found,) = shown["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert found == {**spread[0], "labelSelector": shown["spec"]["selector"]}


def test_pull_secrets_are_the_charts_and_the_models_each_once():
    values = {**model(imagePullSecrets=[{"name": "b"}]), "imagePullSecrets": [{"name": "a"}, {"name": "b"}]}
    spec = engines(render(values))["llama"]["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize("text", TRAP_TEXTS)
def test_texts_that_look_like_numbers_stay_texts(text):
    metadata = template(labels={} if ":" in text else {"t": text}, annotations={"t": text})["metadata"]
    assert metadata["annotations"]["t"] == text
    assert metadata["labels"].get("t", text) == text


def test_pods_carry_no_version_so_that_an_upgrade_of_the_chart_rolls_none():
    assert "0.1.0" not in str(template()["metadata"])
    assert "helm.sh/chart" not in template()["metadata"]["labels"]


def test_long_names_are_cut_and_stay_apart():
    values = {"models": {LONG: PD, LONG + "-": None}, "fullnameOverride": "f" * 50}
    values["models"] = {LONG: {"disaggregation": {"rolesets": ["r" * 39 + "a", "r" * 39 + "b"]}}}
    names = [item["metadata"]["name"] for item in find(render(values), "Deployment")]
    assert len(set(names)) == 5
    assert all(len(name) <= 63 for name in names)


def test_the_namespace_is_the_releases():
    objects = render(model(PD, replicas=2), namespace="team-a")
    assert {item["metadata"]["namespace"] for item in objects if "engine" in item["metadata"]["name"]} == {"team-a"}
