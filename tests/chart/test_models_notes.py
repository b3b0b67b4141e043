"""What NOTES.txt says of models, and what the rest of the chart hears of them."""

import json

from tests.chart.cases_models import CONFIG, PD, SCALED, model
from tests.chart.pieces import PER_REPLICA, merged
from tests.chart.rendering import CHART, helm


def notes(*parts, **values):
    given = json.dumps(merged(model(*parts, **values), PER_REPLICA))
    done = helm("install", "gw", str(CHART), "--namespace", "llm", "--dry-run=client", "--values", "-", text=given)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_each_workload_has_a_line():
    said = notes(replicas=2, probes={"loadSeconds": 300})
    assert "models.llama: 2 replicas of llama, each ready within 300 s of its start" in said
    assert "1 replica of llama" in notes()
    assert "1 to 4 replicas of llama" in notes(SCALED)
    said = notes(PD)
    assert "models.llama.disaggregation.prefill: 1 replica of llama, roleset a" in said
    assert "models.llama.disaggregation.decode: 1 replica of llama, roleset a" in said


def test_in_place_says_what_it_costs():
    said = notes(rollout={"mode": "in-place"})
    assert "rollout.mode in-place: an update takes a pod away before the next one loads" in said
    assert "up to 560 s + 600 s, one replica is missing" in said
    assert "in-place" not in notes()


def test_recreate_says_what_it_costs():
    assert "rollout.mode recreate: an update ends all pods first: no service for up to 560 s + 600 s" in notes(
        rollout={"mode": "recreate"}
    )


def test_gpus_that_no_argument_uses():
    said = "gpu.count is 4 and args name no --tensor-parallel-size"
    assert said in notes(gpu={"count": 4})
    for args in (["--tensor-parallel-size", "4"], ["-tp=4"], ["--data-parallel-size=4"], ["--config=/x.yaml"]):
        assert said not in notes(gpu={"count": 4}, args=args)
    assert said not in notes(gpu={"count": 4}, engine="simulated")


def test_the_guard_of_roles_says_when_it_looks():
    assert "not in a render without a cluster" in notes(PD)
    assert "not in a render without a cluster" not in notes(PD, disaggregation={"allowSimultaneousRollout": True})


def test_the_wait_is_that_of_the_slowest_model():
    said = notes(merged(PD, {"disaggregation": {"decode": {"probes": {"loadSeconds": 3600}}}}))
    assert f"--timeout {3600 + 15 + 900 + 300}s" in said


def test_the_first_request_asks_for_the_first_model():
    assert '"model": "meta-llama/Llama-3.1-8B"' in notes(name="meta-llama/Llama-3.1-8B", config=CONFIG)
