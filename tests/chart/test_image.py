"""The image that the chart's default names, as far as its Dockerfile tells. `make image-steps` replays its steps."""

import shlex
from pathlib import Path

import pytest

from tests.chart import replay
from tests.chart.checks import pod
from tests.chart.rendering import render


@pytest.fixture(scope="module")
def gateway():
    return pod(render(), "Deployment", "gw-aibrix-mw")


def test_user_is_the_chart_s(gateway):
    user, _, group = replay.last("USER").partition(":")
    context = gateway["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))


def test_ports_are_the_chart_s(gateway):
    exposed = [int(port) for port in replay.last("EXPOSE").split()]
    assert [port["containerPort"] for port in gateway["containers"][0]["ports"]] == exposed


def test_command_is_the_entry_points(gateway):
    """The chart gives arguments only, so that the image says what runs."""
    container = gateway["containers"][0]
    assert "command" not in container
    assert replay.last("ENTRYPOINT") == '["aibrix-mw"]'
    assert container["args"][0] == "serve"


def test_signal_is_the_one_that_drains():
    assert replay.last("STOPSIGNAL") == "SIGTERM"


def test_nothing_is_written_at_run_time():
    variables = dict(pair.split("=", 1) for step, rest in replay.steps() if step == "ENV" for pair in shlex.split(rest))
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"


def test_folders_are_moved_and_nothing_else():
    command = "wheel --wheel-dir /dist . && pip --python /opt/aibrix-mw install $(echo /dist/*.whl) https://x/dist"
    assert replay.moved(command, Path("/tmp/r")) == (
        "wheel --wheel-dir /tmp/r/dist . && "
        "pip --python /tmp/r/opt/aibrix-mw install $(echo /tmp/r/dist/*.whl) https://x/dist"
    )
