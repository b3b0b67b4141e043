"""One engine and the systems before it, started and ready; `drive` runs one load against one of them."""

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from .children import BenchError, Children, core_pair, free_port, module
from .holding import Held
from .load import Result
from .scanner import AnswerError, AnswerScanner
from .systems import Place, System
from .traffic import answer_bytes, request

PODS: Final = 8
_READY: Final = 40.0  # seconds for a system to serve its first request


def ask(port: int) -> tuple[int, int] | None:
    """Send one JSON request to 127.0.0.1:port; give (status, body bytes), None when nobody answers."""
    scanner = AnswerScanner()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request("json", port))
            while data := connection.recv(65536):
                if answer := scanner.feed(data):
                    return answer
    except (OSError, AnswerError):
        return None
    return None


class Stage:
    """The engine and the gateways that run beside each other; only one is under load at a time."""

    def __init__(self, children: Children, *, pin: bool = True) -> None:
        self._children = children
        self.gateway_cores, self.other_cores = core_pair(pin)
        self._ports: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        engine = children.start("engine", module("engine", "--pods", PODS), self.other_cores, pipe=True)
        assert engine.stdout is not None
        line = engine.stdout.readline()
        if not line:
            raise BenchError(f"the engine does not start: {children.tail('engine')}")
        self._pods: list[int] = json.loads(line)

    def start(self, system: System) -> None:
        """Start a system on the gateway's core."""
        folder = self._children.folder / system.name
        folder.mkdir()
        place = Place(free_port(), self._pods, folder)
        self._ports[system.name] = place.port
        self._processes[system.name] = self._children.start(system.name, system.command(place), self.gateway_cores)

    def wait_ready(self, name: str) -> None:
        """Wait until the system gives a right answer."""
        deadline = time.monotonic() + _READY
        seen: tuple[int, int] | None = None
        while time.monotonic() < deadline:
            self._children.check(name)
            seen = ask(self._ports[name]) or seen
            if seen == (200, answer_bytes("json")):
                return
            time.sleep(0.1)
        raise BenchError(f"{name} is not ready after {_READY:.0f} s, last answer {seen}: {self._children.tail(name)}")

    def drive(
        self, name: str, kinds: Sequence[str], connections: int, requests: int, seconds: float, warmup: float
    ) -> Result:
        """Put one load on one system, at most `requests` requests or `seconds` seconds of it measured."""
        target = ["--port", self._ports[name], "--pid", self._processes[name].pid, "--kinds", ",".join(kinds)]
        bounds = ["--connections", connections, "--requests", requests, "--seconds", seconds, "--warmup", warmup]
        label = f"load-{name}"
        printed = self._children.output(
            label, module("load", *target, *bounds), self.other_cores, warmup + seconds + 40
        )
        self._children.check(name)
        return Result(**json.loads(printed))

    def hold(self, name: str, streams: int, rounds: int, requests: int) -> Held:
        """Hold so many idle streams of one system, and send it new requests before, beside and after them."""
        target = ["--port", self._ports[name], "--pid", self._processes[name].pid]
        bounds = ["--streams", streams, "--rounds", rounds, "--requests", requests]
        command = module("holding", *target, *bounds)
        printed = self._children.output(f"hold-{name}", command, self.other_cores, 300.0)
        self._children.check(name)
        return Held(**json.loads(printed))
