"""Config profiles: into the annotation or the gateway's settings, and accepted by the package's own parser."""

import json

import pytest

from aibrix_mw.profiles import parse_config
from aibrix_mw.settings import parse_settings
from aibrix_mw.validation import validate_file
from tests.chart.cases_models import CASES, CONFIG, ENGINES, PD, WHERE, model
from tests.chart.checks import settings_of
from tests.chart.engines import annotations, engines, refused, template
from tests.chart.pieces import PER_REPLICA, merged
from tests.chart.rendering import refusal, render, render_text

IN_SETTINGS = {"config": CONFIG, "configIn": "gateway"}


def test_the_annotation_is_what_was_given_and_the_parser_takes_it():
    written = annotations(config=CONFIG)["model.aibrix.ai/config"]
    assert json.loads(written) == CONFIG
    config, warnings = parse_config(written)
    assert warnings == ()
    assert config.profiles["batch"].requests_per_second == 20


def test_no_profiles_are_no_annotation():
    assert "annotations" not in template()["metadata"]


def test_numbers_survive():
    config = {
        "requestsPerSecond": 1000000,
        "profiles": {"default": {"requestsPerSecondPerReplica": 0.000001, "requestsPerSecond": 0}},
    }
    assert json.loads(annotations(config=config)["model.aibrix.ai/config"]) == config


def test_profiles_in_the_settings_are_where_the_gateway_looks_and_not_on_pods():
    objects = render(merged(model(IN_SETTINGS, name="meta-llama/Llama-3.1-8B"), PER_REPLICA))
    settings = settings_of(objects)
    assert settings["models"] == {"meta-llama/Llama-3.1-8B": {"config": CONFIG}}
    assert "model.aibrix.ai/config" not in str(engines(objects))


def test_a_change_of_profiles_in_the_settings_rolls_nothing():
    other = merged(IN_SETTINGS, {"config": {"profiles": {"batch": {"requestsPerSecond": 21}}}})
    before, after = (render(merged(model(values), PER_REPLICA)) for values in (IN_SETTINGS, other))
    assert settings_of(before) != settings_of(after)
    pods = [
        [item["spec"]["template"] for item in objects if item["kind"] == "Deployment"] for objects in (before, after)
    ]
    assert pods[0] == pods[1]


def test_a_change_of_profiles_in_the_annotation_rolls_the_engine_and_not_the_gateway():
    before, after = (
        {
            item["metadata"]["name"]: item["spec"]["template"]
            for item in render(merged(model(config=config), PER_REPLICA))
            if item["kind"] == "Deployment"
        }
        for config in (CONFIG, {"profiles": {"default": {}}})
    )
    assert [name for name in before if before[name] != after[name]] == ["gw-aibrix-mw-engine-llama"]


@pytest.mark.parametrize("name", WHERE)
def test_the_gateway_takes_the_settings(name):
    text = json.dumps(settings_of(render(CASES[f"model: {name}"])))
    checked = parse_settings(text, "")
    assert not checked.faults
    for settings in json.loads(text)["models"].values():
        if "config" in settings:
            assert parse_config(settings["config"])[1] == ()


def test_settings_of_the_operator_stay_beside_the_profiles():
    settings = settings_of(render(CASES["model: settings beside others"]))
    assert settings["models"]["llama"] == {"aliases": ["l"], "config": CONFIG}


def test_names_of_a_namespace():
    settings = settings_of(render(CASES["model: names of a namespace"]))
    assert list(settings["models"]) == ["llm/llama"]


def test_all_legs_of_a_model_carry_its_profiles():
    for item in engines(render(model(PD))).values():
        annotations = item["spec"]["template"]["metadata"]["annotations"]
        assert json.loads(annotations["model.aibrix.ai/config"]) == PD["config"]


def test_legs_without_profiles_are_routed_with_pd():
    (first, *_) = engines(render(model(disaggregation={"rolesets": ["a"]}))).values()
    written = first["spec"]["template"]["metadata"]["annotations"]["model.aibrix.ai/config"]
    assert json.loads(written) == {"profiles": {"default": {"routingStrategy": "pd"}}}


@pytest.mark.parametrize(
    "config",
    [{"lockedRoutingStrategy": "pd", "profiles": {"a": {}}}, {"profiles": {"a": {}, "b": {"routingStrategy": "pd"}}}],
)
def test_one_way_to_pd_is_enough(config):
    assert engines(render(model(disaggregation={"rolesets": ["a"]}, config=config)))


def test_the_gateways_own_strategy_may_be_pd():
    values = {
        **model(disaggregation={"rolesets": ["a"]}, config={"profiles": {"a": {}}}),
        "settings": {"routing": {"default_strategy": "pd"}},
    }
    assert engines(render(values))


def test_legs_that_nobody_routes_with_pd_are_refused():
    said = refused(
        disaggregation={"rolesets": ["a"]}, config={"profiles": {"default": {"routingStrategy": "least-request"}}}
    )
    assert (
        "models.llama.config: no profile routes with pd: the legs of a roleset would be taken for whole engines" in said
    )


@pytest.mark.parametrize("group", [ENGINES, WHERE, {"roles": model(PD)}])
def test_validate_takes_the_manifests(group, tmp_path):
    file = tmp_path / "render.yaml"
    for values in group.values():
        file.write_text(render_text(merged(values, PER_REPLICA)))
        report = validate_file(file)
        assert report.kind == "Kubernetes manifests"
        assert not report.faults


def test_a_limit_counts_among_the_reasons_for_a_store():
    for config in (
        CONFIG,
        {"requestsPerSecond": 1, "profiles": {"default": {}}},
        {"profiles": {"a": {"requestsPerSecondPerReplica": 0.5}}},
    ):
        assert "gateway.replicas: several replicas with a limit and no store" in refused(config=config)
    render(model(config={"requestsPerSecond": 0, "profiles": {"default": {"requestsPerSecond": -1}}}))


# --- what is refused


def test_profiles_without_a_gateway_to_have_them_are_refused():
    said = refusal({**model(IN_SETTINGS), "gateway": {"enabled": False}})
    assert "models.llama.configIn: gateway.enabled is false" in said


def test_profiles_given_twice_are_refused():
    said = refusal({**model(IN_SETTINGS), "settings": {"models": {"llama": {"config": CONFIG}}}})
    assert "models.llama.configIn: settings.models.llama.config is given too" in said


def test_two_workloads_of_one_name_with_other_profiles_are_refused():
    one = {"name": "m", **IN_SETTINGS}
    other = merged(one, {"config": {"profiles": {"batch": {"requestsPerSecond": 1}}}})
    assert "models.b.config: another workload gives model m other profiles" in refusal(
        {"models": {"a": one, "b": other}}
    )
    render(merged({"models": {"a": one, "b": one}}, PER_REPLICA))


def test_a_default_profile_that_is_not_there_is_refused():
    said = refused(config={"defaultProfile": "chat", "profiles": {"default": {}}})
    assert "models.llama.config.defaultProfile: there is no profile chat" in said
