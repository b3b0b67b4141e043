"""Prefill and decode: two workloads per roleset, which pair only where they fit and roll one after the other."""

import json

import pytest

from tests.chart.api_server import api_server
from tests.chart.cases_models import PD, model
from tests.chart.engines import engines, refused, variables
from tests.chart.pieces import merged
from tests.chart.rendering import Refused, find, refusal, render, render_text

NEW = "vllm/vllm-openai:v0.32.1"
ALONE = {"gateway": {"enabled": False}}


def roles(*parts, **values):
    """Return the labels, container and Deployment spec of both legs of roleset a."""
    found = engines(render(model(PD, *parts, **values)))
    legs = [found[f"llama-a-{role}"] for role in ("prefill", "decode")]
    return [
        (leg["spec"]["template"]["metadata"]["labels"], leg["spec"]["template"]["spec"], leg["spec"]) for leg in legs
    ]


def own(role, **values):
    return {"disaggregation": {role: values}}


def test_labels_say_role_roleset_and_what_fits():
    for role, (labels, _, spec) in zip(("prefill", "decode"), roles(), strict=True):
        assert labels["model.aibrix.ai/name"] == "llama"
        assert (labels["role-name"], labels["roleset-name"]) == (role, "a")
        assert not spec["selector"]["matchLabels"].keys() & {
            "role-name",
            "roleset-name",
            "model.aibrix.ai/pd-compatibility",
        }
    (first, *_), (second, *_) = roles()
    assert first["model.aibrix.ai/pd-compatibility"] == second["model.aibrix.ai/pd-compatibility"]


@pytest.mark.parametrize("change", [{"image": NEW}, {"revision": "abc"}, {"source": "org/other"}])
def test_other_images_and_weights_do_not_fit(change):
    (before, *_), _ = roles()
    (after, *_), _ = roles(change)
    assert before["model.aibrix.ai/pd-compatibility"] != after["model.aibrix.ai/pd-compatibility"]


@pytest.mark.parametrize("change", [{"args": ["--seed=1"]}, {"replicas": 4}, {"port": 9000}])
def test_what_has_no_say_in_it_fits(change):
    (before, *_), _ = roles()
    (after, *_), _ = roles(change)
    assert before["model.aibrix.ai/pd-compatibility"] == after["model.aibrix.ai/pd-compatibility"]


def test_compatibility_may_be_said():
    legs = roles(disaggregation={"compatibility": "fp8-tp4", "decode": {"image": NEW}})
    assert {labels["model.aibrix.ai/pd-compatibility"] for labels, *_ in legs} == {"fp8-tp4"}
    assert [spec["containers"][0]["image"] for _, spec, _ in legs] == ["vllm/vllm-openai:v0.32.0", NEW]


def test_images_that_nobody_says_to_fit_are_refused():
    said = refused(PD, own("decode", image=NEW))
    assert f"models.llama.disaggregation.compatibility: prefill runs vllm/vllm-openai:v0.32.0 and decode {NEW}" in said


def test_a_role_has_its_own_values_over_the_models():
    prefill, decode = roles(
        {"args": ["--seed=1"], "env": [{"name": "A", "value": "1"}], "replicas": 3, "labels": {"team": "x"}},
        own("prefill", args=["--seed=2"], env=[], replicas=0, rollout={"mode": "recreate"}, gpu={"count": 0}),
        own("decode", drain={"gracePeriodSeconds": 600}, labels={"leg": "d"}, nodeSelector={"gpu": "h100"}, port=9000),
    )
    assert prefill[1]["containers"][0]["args"][-1] == "--seed=2"
    assert decode[1]["containers"][0]["args"][-1] == "--seed=1"
    assert "A" not in [item["name"] for item in prefill[1]["containers"][0]["env"]]
    assert "A" in [item["name"] for item in decode[1]["containers"][0]["env"]]
    assert (prefill[2]["replicas"], decode[2]["replicas"]) == (0, 3)
    assert (prefill[2]["strategy"]["type"], decode[2]["strategy"]["type"]) == ("Recreate", "RollingUpdate")
    assert "resources" not in prefill[1]["containers"][0]
    assert (prefill[1]["terminationGracePeriodSeconds"], decode[1]["terminationGracePeriodSeconds"]) == (560, 600)
    assert ("leg" in prefill[0], decode[0]["leg"], decode[0]["team"]) == (False, "d", "x")
    assert decode[1]["nodeSelector"] == {"gpu": "h100"}
    assert decode[0]["model.aibrix.ai/port"] == "9000"


def test_roles_are_sized_apart_and_rolesets_share():
    size = {"targetRps": 60, "sustainableRpsPerReplica": 5, "margin": 0.8}
    found = engines(
        render(model(PD, {"replicas": 9}, own("decode", sizing=size), disaggregation={"rolesets": ["a", "b"]}))
    )
    assert found["llama-a-decode"]["spec"]["replicas"] == 8  # 15 between two
    assert found["llama-b-decode"]["spec"]["replicas"] == 8
    assert found["llama-a-prefill"]["spec"]["replicas"] == 9


def test_each_leg_has_its_own_budget():
    objects = render(merged(model(PD, own("prefill", replicas=2), own("decode", replicas=1)), ALONE))
    budgets = [item["metadata"]["name"] for item in find(objects, "PodDisruptionBudget")]
    assert budgets == ["gw-aibrix-mw-engine-llama-a-prefill"]


def test_engines_are_told_to_transfer():
    for _, spec, _ in roles():
        (engine,) = spec["containers"]
        (told,) = [argument for argument in engine["args"] if argument.startswith("--kv-transfer-config")]
        assert json.loads(told.partition("=")[2]) == {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    address = variables(PD, of="llama-a-decode")["VLLM_NIXL_SIDE_CHANNEL_HOST"]
    assert address == {"fieldRef": {"fieldPath": "status.podIP"}}


@pytest.mark.parametrize("how", [{"args": ["--kv-transfer-config", "{}"]}, {"args": ["--kv-transfer-config={}"]}])
def test_a_connector_by_arguments_is_left_alone(how):
    for _, spec, _ in roles(how):
        assert len([a for a in spec["containers"][0]["args"] if a.startswith("--kv-transfer-config")]) == 1


def test_a_plain_model_has_no_connector():
    found = engines(render(model()))["llama"]["spec"]["template"]
    assert "kv-transfer" not in str(found)
    assert "role-name" not in found["metadata"]["labels"]


def test_decode_that_ends_before_prefill_is_refused():
    said = refused(PD, own("prefill", drain={"gracePeriodSeconds": 600}))
    assert "models.llama.disaggregation.decode.drain.gracePeriodSeconds: is below prefill's 600" in said


def test_a_fault_of_a_role_is_named_by_its_path():
    said = refused(PD, own("decode", rollout={"maxSurge": 0}))
    assert "models.llama.disaggregation.decode.rollout: maxSurge and maxUnavailable are both zero" in said
    assert "prefill.rollout" not in said


# --- an upgrade, seen against what runs


def upgrade(before, after, folder):
    """Render `after` as an upgrade of a cluster in which `before` runs; raise Refused where Helm does."""
    running = find(render(merged(before, ALONE)), "Deployment")
    for item in running:
        item["metadata"]["annotations"] |= {"meta.helm.sh/release-name": "gw", "meta.helm.sh/release-namespace": "llm"}
    with api_server(running, folder) as kubeconfig:
        flags = ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", str(kubeconfig))
        return render_text(merged(after, ALONE), *flags)


BEFORE = model(PD, disaggregation={"rolesets": ["a", "b"], "compatibility": "x"})
BOTH = {
    "image": {"image": NEW},
    "arguments": {"args": ["--seed=1"]},
    "environment": {"env": [{"name": "A", "value": "1"}]},
    "environment from elsewhere": {"envFrom": [{"secretRef": {"name": "x"}}]},
    "compatibility": {"disaggregation": {"compatibility": "y"}},
    "each its own": {"disaggregation": {"prefill": {"image": NEW}, "decode": {"args": ["--seed=1"]}}},
}
ONE = {
    "nothing": {},
    "image of prefill": own("prefill", image=NEW),
    "arguments of decode": own("decode", args=["--seed=1"]),
    "replicas of both": {"replicas": 0},
    "resources of both": {"resources": {"requests": {"cpu": 1}}},
}


@pytest.mark.parametrize("change", BOTH)
def test_a_change_of_both_legs_at_once_is_refused(change, tmp_path):
    with pytest.raises(Refused) as refused_with:
        upgrade(BEFORE, merged(BEFORE, model(BOTH[change])), tmp_path)
    for roleset in ("a", "b"):
        sentence = f"image, args or env of prefill and of decode change at once in roleset {roleset}"
        assert f"models.llama.disaggregation: {sentence}" in str(refused_with.value)


@pytest.mark.parametrize("change", ONE)
def test_a_change_of_one_leg_is_not(change, tmp_path):
    assert "rollout-digest" in upgrade(BEFORE, merged(BEFORE, model(ONE[change])), tmp_path)


def test_a_change_of_both_legs_may_be_consented_to(tmp_path):
    after = merged(BEFORE, model(BOTH["image"], disaggregation={"allowSimultaneousRollout": True}))
    assert NEW in upgrade(BEFORE, after, tmp_path)


def test_a_first_install_compares_with_nothing(tmp_path):
    with api_server([], tmp_path) as kubeconfig:
        flags = ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", str(kubeconfig))
        assert "rollout-digest" in render_text(merged(BEFORE, ALONE), *flags)


def test_a_render_without_a_cluster_says_that_it_did_not_compare(tmp_path):
    said = "not checked whether both roles change"
    assert render_text(BEFORE).count(said) == 4  # two rolesets, two legs each
    assert said not in upgrade(BEFORE, BEFORE, tmp_path)
    assert said not in render_text(model())


def test_two_rolesets_of_one_name_are_refused_with_their_path():
    assert "/models/llama/disaggregation/rolesets" in refusal(model(disaggregation={"rolesets": ["a", "a"]}))
