"""`aibrix-mw simulate`, from options to files."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from aibrix_mw.cli import main
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.simulation import study
from aibrix_mw.simulation.study import Study, rolling
from aibrix_mw.simulation.trace import read_trace

QUICK = ("simulate", "--engines", "2", "--gateways", "1", "--seconds", "10", "--seeds", "1", "--rate", "3")


def invoke(*options):
    return CliRunner().invoke(main, [*QUICK, *options])


def test_table_of_all_strategies():
    result = invoke("--strategy", "least-request", "--compare", "random", "--compare", "least-request:1,prefix-cache:2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("chat: ")
    assert lines[0].endswith("engines 2, gateways 1, seeds 1")
    assert [line.split()[0] for line in lines[2:6]] == [
        "strategy",
        "least-request",
        "random",
        "least-request:1,prefix-cache:2",
    ]


def test_the_same_seed_prints_the_same():
    assert invoke().stdout == invoke().stdout != invoke("--seed", "5").stdout


def test_a_saved_trace_gives_the_same_figures(tmp_path):
    trace = tmp_path / "trace.jsonl"
    first = invoke("--save-trace", str(trace), "--workload", "batch").stdout
    again = invoke("--trace", str(trace)).stdout
    assert first.partition("\n")[2] == again.partition("\n")[2]
    assert again.startswith("trace.jsonl: ")
    assert len(read_trace(trace)) > 10


def test_plots_are_written(tmp_path):
    result = invoke("--plot", str(tmp_path / "a.png"), "--plot", str(tmp_path / "a.html"))
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.html"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engines", "0"), "--engines: more than 0"),
        (("--rate", "0"), "--rate: more than 0"),
        (("--slow", "3"), "--slow: from 0 to the number of engines"),
        (("--workload", "nonsense"), "--workload: is none of chat, batch, bursty, abusive, heavy-tailed, long-prompt"),
        (("--strategy", "nonsense"), "--strategy: incorrect routing strategy nonsense"),
        (("--plot", "a.gif"), "a.gif: ends in none of"),
        (("--trace", "/nowhere"), "/nowhere: No such file"),
        (("--kv-blocks", "10"), "tokens never fit into the KV cache"),
        (("--seconds", "0.001"), "no request arrives"),
    ],
)
def test_refusals(options, message):
    result = invoke(*options)
    assert result.exit_code == 1
    assert f"error: {message}" in result.stderr or (message in result.stderr and "error: " in result.stderr)


def test_progress_is_told_on_the_error_output_only():
    done = subprocess.run([sys.executable, "-m", "aibrix_mw", *QUICK], capture_output=True, check=True, text=True)
    assert "simulating" not in done.stdout
    assert "\r" not in done.stderr  # no bar without a terminal


def test_load_is_a_share_of_what_the_fleet_can_do(monkeypatch):
    monkeypatch.setattr(study, "capacity", lambda fleet, generate: 10.0 * len(fleet.engines))

    def requests(load):
        options = Study(strategies=("random",), workload="batch", engines=1, load=load, seconds=100.0, seeds=1)
        return len(options.workloads()[0])

    assert requests(0.8) == pytest.approx(800, rel=0.1)
    assert requests(0.4) == pytest.approx(400, rel=0.1)


def test_fleets():
    fleet = Study(strategies=(), engines=4, slow=1, workload="restart", seconds=100.0).fleet()
    assert [model.speed for model in fleet.engines] == [1.0, 1.0, 1.0, 0.5]
    assert [(restart.time, restart.engine) for restart in fleet.restarts] == [(20.0, 0), (55.0, 1), (90.0, 2)]
    assert rolling(2, 1000.0)[-1].engine == 1


def test_faults_are_told_together():
    with pytest.raises(ConfigurationError) as caught:
        Study(strategies=("nonsense",), engines=0, gateways=0).check()
    assert len(caught.value.faults) == 3
