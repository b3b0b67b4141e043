"""The command line, as far as no process has to run: what it refuses, and what it hands on."""

import signal
import socket

import pytest
from click.testing import CliRunner

import aibrix_mw.server
import aibrix_mw.telemetry.logs
from aibrix_mw import __version__
from aibrix_mw.cli import main
from aibrix_mw.settings import KubernetesSettings
from tests.support import until

pytestmark = pytest.mark.usefixtures("own_logging")


@pytest.fixture(autouse=True)
def unchanged():
    """Put back the signal handler that a command sets for its process."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def invoke():
    return lambda *words: CliRunner().invoke(main, words)


@pytest.fixture
def served(monkeypatch):
    """What `serve` would serve: gateways, handed over instead of being run."""
    gateways = []
    monkeypatch.setattr(aibrix_mw.server, "serve_gateway", lambda gateway, _: gateways.append(gateway))
    return gateways


def test_version_and_help(invoke):
    assert __version__ in invoke("--version").output
    for command in main.commands:
        assert invoke(command, "-h").exit_code == 0


# --- serve


def test_flags_reach_the_settings(invoke, served):
    flags = ("--host", "127.0.0.1", "--port", "1", "--admin-host", "::1", "--admin-port", "2")
    result = invoke(
        "serve", "--pod", "m=http://h:1", *flags, "--default-strategy", "random", "--redis-url", "redis://h:1"
    )
    assert result.exit_code == 0, result.output
    listen = served[0].settings.listen
    assert (listen.host, listen.port, listen.admin_host, listen.admin_port) == ("127.0.0.1", 1, "::1", 2)
    assert served[0].settings.routing.default_strategy == "random"
    assert served[0].settings.store.url == "redis://h:1"


def test_pods_of_the_command_line_join_those_of_the_settings(invoke, served, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("models: {m: {endpoints: [http://h:1], aliases: [a]}}")
    words = ("--pod", "m=http://h:2", "--pod", "n=http://h:3", "--pod", "n=https://h:4")
    result = invoke("serve", "--settings", str(file), *words)
    assert result.exit_code == 0, result.output
    names = {name: len(known.pods) for name, known in served[0].registry.names().items()}
    assert names == {"m": 2, "a": 2, "n": 2}


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "nothing to serve"),
        (
            (
                "--pod",
                "http://h:1",
            ),
            2,
            "http://h:1 is not MODEL=URL",
        ),
        (("--pod", "m=ftp://h"), 1, "error: models.m.endpoints: ftp://h: not http(s)://host[:port]"),
        (("--pod", "m=http://h", "--pod", "m=http://h"), 1, "is there twice"),
        (("--pod", "m=http://h", "--default-strategy", "best"), 1, "error: routing.default_strategy: "),
        (("--pod", "m=http://h", "--port", "70000"), 1, "error: listen.port: "),
        (("--settings", "/no/such/file"), 1, "error: /no/such/file: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_served(invoke, served, words, status, told):
    result = invoke("serve", *words)
    assert (result.exit_code, served) == (status, [])
    assert told in result.output


async def test_a_cap_below_the_setting_is_no_change(invoke, served, tmp_path, monkeypatch, log):
    file = tmp_path / "settings.yaml"
    file.write_text("models: {m: {endpoints: [http://h:1]}}")
    monkeypatch.setattr(aibrix_mw.telemetry.logs, "set_up_logging", lambda _: None)  # `log` listens on
    monkeypatch.setattr(aibrix_mw.server, "in_flight_cap", lambda settings: min(settings.limits.max_in_flight, 7))
    assert invoke("serve", "--settings", str(file)).exit_code == 0
    (gateway,) = served
    assert gateway.settings.limits.max_in_flight == 7
    async with gateway.running():
        file.write_text("models: {m: {endpoints: [http://h:1]}}\nlimits: {max_in_flight: 5000}")
        await until(lambda: "settings: read again" in log())
        assert [line for line in log() if "restart" in line] == []
        file.write_text("models: {m: {endpoints: [http://h:1]}}\nlimits: {max_in_flight: 5}")
        await until(lambda: "settings: limits.max_in_flight has changed and needs a restart" in log())
    assert [line for line in log() if "requests in flight" in line] == [
        "at most 7 requests in flight (limits.max_in_flight: 10000; each takes two descriptors)"
    ]


def test_pods_from_kubernetes(invoke, served):
    where = ("--namespace", "a", "--namespace", "b", "--kubeconfig", "/k", "--context", "c")
    assert invoke("serve", "--kubernetes", *where).exit_code == 0
    kubernetes = served[0].settings.discovery.kubernetes
    assert kubernetes == KubernetesSettings(enabled=True, namespaces=("a", "b"), kubeconfig="/k", context="c")


# --- engine


def test_engines_that_cannot_be(invoke):
    result = invoke("engine", "--model", "m", "--max-running", "0")
    assert result.exit_code == 2
    assert "max_running: more than 0" in result.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = invoke("engine", "--model", "m", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "Address already in use" in result.output


# --- validate


def test_validate_tells_all_files(invoke, tmp_path):
    good, doubtful, bad = (tmp_path / name for name in ("good.yaml", "doubtful.json", "bad.yaml"))
    good.write_text("listen: {port: 80}")
    doubtful.write_text('{"profiles": {"batch": {}}}')
    bad.write_text("routing: {attempts: 0}\nlog: {level: loud}")
    result = invoke("validate", str(good), str(doubtful), str(bad), str(tmp_path / "none"))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{good}: settings, valid",
        f"warning: {doubtful}: $.defaultProfile: there is no profile 'default': the gateway's built-in one applies",
        f"{doubtful}: config annotation, valid",
    ]
    faults = result.stderr.splitlines()
    assert [line.partition(": expected")[0] for line in faults[:2]] == [
        f"error: {bad}: routing.attempts",
        f"error: {bad}: log.level",
    ]
    assert faults[2:] == [f"error: {tmp_path / 'none'}: cannot be read: No such file or directory"]
    assert invoke("validate", str(good)).exit_code == 0
