"""When a pod is started, ready, alive and over."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.chart.cases_models import model
from tests.chart.engines import container, deployment, engines, pod, refused
from tests.chart.rendering import render

OLD = {"drain": {"supportsShutdownTimeout": False}}


def window(probe):
    return probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]


def test_loading_is_waited_for_by_the_startup_probe_alone():
    engine = container()
    numbers = {
        kind: {key: value for key, value in engine[f"{kind}Probe"].items() if key != "httpGet"}
        for kind in ("startup", "readiness", "liveness")
    }
    assert numbers == {
        "startup": {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 60},
        "readiness": {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "liveness": {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 12},
    }


@pytest.mark.parametrize(("seconds", "threshold"), [(1, 1), (10, 1), (11, 2), (600, 60), (605, 61), (7200, 720)])
def test_the_startup_window_covers_loading(seconds, threshold):
    probe = container(probes={"loadSeconds": seconds})["startupProbe"]
    assert probe["failureThreshold"] == threshold
    assert window(probe) >= seconds


def test_another_period_keeps_the_window():
    assert window(container(probes={"startup": {"periodSeconds": 7}})["startupProbe"]) >= 600


def test_an_explicit_zero_of_a_probe_stays():
    assert container(probes={"readiness": {"initialDelaySeconds": 0}})["readinessProbe"]["initialDelaySeconds"] == 0


def test_a_startup_window_below_loading_is_refused():
    said = refused(probes={"startup": {"failureThreshold": 59}})
    assert "models.llama.probes.startup: gives up after 590 s, and loading takes up to loadSeconds = 600" in said


@pytest.mark.parametrize("threshold", [1, 2])
def test_liveness_that_kills_before_readiness_relieves_is_refused(threshold):
    said = refused(
        probes={"liveness": {"periodSeconds": 7}, "readiness": {"periodSeconds": 7 * 12, "failureThreshold": threshold}}
    )
    assert "models.llama.probes.liveness: kills after 84 s, not later than readiness" in said


def test_the_hook_sleeps_natively_where_kubernetes_can():
    assert container()["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}


@pytest.mark.parametrize("version", ["1.29.9", "1.20.2"])
def test_the_hook_runs_sleep_where_kubernetes_cannot(version):
    spec = engines(render(model(), kubernetes=version))["llama"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "15"]}}}


@pytest.mark.parametrize("version", ["1.30.0", "1.30.0-gke.100", "1.37.1+k3s1"])
def test_versions_of_vendors_count(version):
    spec = engines(render(model(), kubernetes=version))["llama"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}


def test_zero_seconds_are_no_hook_and_no_default():
    engine = container(drain={"preStopSeconds": 0, "shutdownTimeout": 0})
    assert "lifecycle" not in engine
    assert "--shutdown-timeout=0" in engine["args"]


def test_the_engine_drains_within_the_grace():
    shown = pod()
    assert "--shutdown-timeout=540" in shown["containers"][0]["args"]
    assert shown["terminationGracePeriodSeconds"] == 560


@pytest.mark.parametrize("grace", [554, 555])
def test_a_grace_that_would_kill_requests_is_refused(grace):
    said = refused(drain={"gracePeriodSeconds": grace})
    assert f"models.llama.drain.gracePeriodSeconds: {grace} is not above preStopSeconds + shutdownTimeout = 555" in said


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({}, 600 + 15 + 900),
        ({"probes": {"loadSeconds": 60}, "rollout": {"imagePullSeconds": 0}, "drain": {"preStopSeconds": 0}}, 60),
        ({"rollout": {"mode": "in-place"}}, 600 + 560 + 900),
        ({"rollout": {"mode": "recreate"}}, 600 + 560 + 900),
    ],
)
def test_a_rollout_counts_as_failed_only_after_all_that_may_take_time(values, seconds):
    assert deployment(values)["spec"]["progressDeadlineSeconds"] == seconds


# --- images that do not know --shutdown-timeout


class Engine(BaseHTTPRequestHandler):
    """Metrics of an engine: each question is answered with the next number of running requests."""

    running: list[str]

    def do_GET(self):
        number = self.running.pop(0)
        # two engines of one server, and a family whose name only begins alike
        lines = [
            f'vllm:num_requests_running{{engine="0",model_name="a}}b"}} {number}',
            'vllm:num_requests_running{engine="1"} 0.0',
        ]
        body = "\n".join(
            [*lines, 'vllm:num_requests_waiting{engine="0"} 0.0', "vllm:num_requests_running_total 7"]
        ).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def test_such_an_engine_gets_no_option_and_a_hook_instead():
    engine = container(OLD)
    assert not [argument for argument in engine["args"] if "shutdown" in argument]
    assert engine["lifecycle"]["preStop"]["exec"]["command"][:2] == ["python3", "-c"]


def hook(port, **drain):
    """The hook's program as the chart writes it, run by this Python."""
    engine = container(port=port, drain={"supportsShutdownTimeout": False, "preStopSeconds": 0, **drain})
    _, *command = engine["lifecycle"]["preStop"]["exec"]["command"]
    return [sys.executable, *command]


def test_the_hook_ends_when_nothing_runs():
    Engine.running = ["2.0", "0.0", "never asked"]
    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(hook(server.server_port), capture_output=True, text=True, timeout=60, check=False)
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert Engine.running == ["never asked"]


def test_the_hook_ends_at_once_when_the_engine_is_gone():
    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        port = server.server_port
    done = subprocess.run(hook(port), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_hook_has_an_end():
    Engine.running = ["1.0"] * 9
    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            hook(server.server_port, shutdownTimeout=1), capture_output=True, text=True, timeout=60, check=False
        )
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert 6 <= len(Engine.running) < 9
