"""`aibrix-mw size` as a person runs it: against simulated engines on sockets."""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from aibrix_mw.cli import main
from aibrix_mw.sizing.document import encode, read
from aibrix_mw.sizing.estimate import Estimate
from aibrix_mw.sizing.search import Bracket
from tests.ports import free_port
from tests.sizing.results import document, measured

EXAMPLE = Path(__file__).parents[2] / "examples" / "sizing"
QUICK = ["--model", "m", "--target-rps", "50", "--prompt-tokens", "40", "--output-tokens", "3"]
SHORT = ["--step-duration", "0.5", "--slo-ttft-p95", "5", "--slo-tpot-p95", "5", "--max-rps", "30"]


def run(*words, **environment):
    return CliRunner(env=environment).invoke(main, ["size", *map(str, words)])


def _hear_ctrl_c():
    """Tests that a shell has put in the background have been told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def process(*words):
    command = [sys.executable, "-m", "aibrix_mw", *map(str, words)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


@pytest.fixture(scope="module")
def engine():
    """The URL of a simulated engine in a process of its own."""
    port = free_port()
    speed = ["--prefill-tokens-per-second", "4000", "--decode-tokens-per-second", "200"]
    with process("engine", "--model", "m", "--port", port, *speed) as child:
        assert "serves m on" in child.stdout.readline()
        for _ in range(200):
            if _listens(port):
                break
        yield f"http://127.0.0.1:{port}"


def _listens(port):
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_replica_is_measured(engine, tmp_path):
    html = tmp_path / "report.html"
    result = run(engine, *QUICK, *SHORT, "--html", html)
    assert result.exit_code == 0, result.stderr
    assert "40 prompt tokens, 3 output tokens" in result.stdout
    assert "replicas = ceil(target / (sustainable x margin)) = ceil(50 / (30 x 0.65)) = ceil(2.56) = 3" in result.stdout
    assert "single requests, one after the other" in result.stderr
    assert "sustainable" in result.stderr
    assert "<svg" in html.read_text()


def test_prefill_and_decode(engine):
    result = run(engine, *QUICK, *SHORT, "--pd", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    prefill, decode = (found["runs"][role]["unloaded"] for role in ("prefill", "decode"))
    assert (prefill["prompt_tokens"], prefill["output_tokens"]) == (40, 1)
    assert (decode["prompt_tokens"], decode["output_tokens"]) == (16, 3)
    assert found["answer"]["sizes"]["decode"]["replicas"] == 3
    assert "prefill: " in result.stderr


def test_ctrl_c_gives_a_partial_report(engine):
    with process("size", engine, *QUICK, "--step-duration", "3", "--slo-ttft-p95", "5", "--slo-tpot-p95", "5") as child:
        for line in child.stderr:
            if "(double)" in line:
                break
        os.kill(child.pid, signal.SIGINT)
        report, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "PARTIAL: interrupted before the end" in report
    assert "replicas = ceil(" in report


def test_ctrl_c_before_anything_is_known(engine):
    with process("size", engine, *QUICK) as child:
        child.stderr.readline()
        os.kill(child.pid, signal.SIGINT)
        report, said = child.communicate(timeout=60)
    assert (child.returncode, report) == (130, "")
    assert said == "error: interrupted before anything was known\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--model", "other"], 3, "does not serve the model other; it serves: m"),
        (["--api", "completions", "--model", "m2"], 3, "does not serve the model m2"),
    ],
)
def test_targets_that_refuse(engine, words, code, text):
    result = run(engine, *QUICK, *words)
    assert (result.exit_code, text in result.stderr) == (code, True), result.stderr


def test_nobody_listens():
    result = run(f"http://127.0.0.1:{free_port()}", *QUICK)
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr


# --- without load


@pytest.fixture
def results(tmp_path):
    file = tmp_path / "results.json"
    file.write_text(encode(document()))
    return file


def test_results_are_computed_again(results):
    result = run("--from", results, "--target-rps", "100", "--margin", "0.7", "--gpu-cost", "2")
    assert result.exit_code == 0
    assert "ceil(100 / (20.4 x 0.7)) = ceil(7) = 8" in result.stdout.replace("7.00", "7")
    assert "cost: 16.00 an hour" in result.stdout


def test_the_example_of_readme():
    result = run("--from", EXAMPLE / "results.json", "--target-rps", "200")
    assert result.exit_code == 0, result.stderr
    assert "replicas = ceil(target / (sustainable x margin)) = ceil(200 / (36.2 x 0.65))" in result.stdout
    assert (EXAMPLE / "report.png").read_bytes().startswith(b"\x89PNG")


def test_results_as_json_are_results(results, tmp_path):
    again = tmp_path / "again.json"
    again.write_text(run("--from", results, "--target-rps", "100", "--json").stdout)
    assert read(again).answer.want.target_rps == 100
    assert read(again).runs == read(results).runs


def test_values(results):
    result = run("--from", results, "--target-rps", "100", "--values")
    assert yaml.safe_load(result.stdout)["sizing"]["targetRps"] == 100


@pytest.mark.parametrize(
    ("run_", "code", "text"),
    [
        (measured(None, bracket=Bracket(None, 0.5)), 6, "no rate is sustainable: first token p95"),
        (measured(None, bracket=Bracket(None, None), reason=None), 6, "no rate is sustainable: none was tried"),
        (measured(end="limit", message="429s"), 4, "error: 429s"),
        (measured(end="generator", message="late"), 5, "error: late"),
        (measured(end="interrupted"), 130, "error: interrupted"),
        (measured(end="failed", message="gone"), 1, "error: gone"),
        (measured(Estimate(9.0, 8.0, None)), 0, ""),
    ],
)
@pytest.mark.parametrize("shape", [(), ("--values",)])
def test_exit_codes(tmp_path, run_, code, text, shape):
    file = tmp_path / "results.json"
    file.write_text(encode(document(replica=run_)))
    result = run("--from", file, "--target-rps", "10", *shape)
    assert result.exit_code == code
    assert text in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--target-rps", "1"], 2, "either TARGET_URL, to measure, or --from FILE"),
        (["http://h:1", "--from", "x", "--target-rps", "1"], 2, "either TARGET_URL"),
        (["http://h:1", "--target-rps", "1"], 2, "--model is needed"),
        (["http://h:1", "--model", "m", "--target-rps", "0"], 2, "--target-rps"),
        (["http://h:1", *QUICK, "--margin", "1.2"], 2, "--margin"),
        (["http://h:1", *QUICK, "--json", "--values"], 2, "either --json or --values"),
        (["http://h:1", *QUICK, "--header", "=x"], 2, "NAME=VALUE is expected"),
        (["h:1", *QUICK], 1, "error: h:1: not http(s)://host[:port]"),
        (["http://h:1", *QUICK, "--workload", "missing.jsonl"], 1, "missing.jsonl: No such file"),
        (["http://h:1", *QUICK, "--html", "missing/report.html"], 1, "its folder is not there"),
        (["--from", "missing.json", "--target-rps", "1"], 1, "missing.json: No such file"),
    ],
)
def test_options_that_make_no_sense(words, code, text):
    result = run(*words)
    assert (result.exit_code, text in result.stderr) == (code, True), result.stderr


def test_a_workload_of_a_file_has_no_two_roles(tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text('{"messages": []}\n')
    result = run("http://h:1", *QUICK, "--pd", "--workload", file)
    assert result.exit_code == 2
    assert "does not go with --workload" in result.stderr


def test_requests_of_a_file_with_key_and_header(engine, tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}) + "\n")
    more = ["--workload", file, "--header", "x-team=a", "--max-rps", "4"]
    result = run(engine, "--model", "m", "--target-rps", "2", *SHORT[:-2], *more, "--json", AIBRIX_MW_API_KEY="k")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["workload"] == "requests of requests.jsonl"
    assert found["runs"]["replica"]["unloaded"]["output_tokens"] == 2
    assert not math.isnan(found["runs"]["replica"]["estimate"]["rate"])
