"""Real engines and a real gateway as processes, and what they say of themselves."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port

MODEL = "tiny"
ALIAS = "gpt-small"
UNSERVED = "not-on-the-engine"  # the gateway is told of this model, the engines do not have it
READY_SECONDS = 600
SHORT_SECONDS = 30


class Child:
    """A process in a group of its own, its output in a file.

    Not in a session of its own: Linux shares the processor between sessions first, and `nice` counts only within one.
    """

    def __init__(self, name: str, command: list[str], port: int, log: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self.log = log
        self.environment = os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait_ready(self, url: str) -> float:
        """Wait until this URL answers 200; seconds that it took."""
        started = time.monotonic()
        while time.monotonic() < started + READY_SECONDS:
            if not self.alive:
                raise AssertionError(f"{self.name} ended by itself:\n{self.tail()}")
            if _answers(url):
                return time.monotonic() - started
            time.sleep(0.2)
        raise AssertionError(f"{self.name} was not ready in {READY_SECONDS} s:\n{self.tail()}")

    def terminate(self) -> int:
        """Ask it to end, wait, and give its exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(SHORT_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """kill -9 the whole group."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(SHORT_SECONDS)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


class Engine(Child):
    """A real vLLM on the CPU, one thread wide; it never looks for anything outside this machine.

    Its processes poll each other as long as they generate: on few cores they would keep clients and gateway waiting for
    seconds, so that they get what these leave.
    """

    def __init__(self, name: str, installation: Path, folder: Path, *more: str, **variables: str) -> None:
        port = free_port()
        programs = installation / "venv" / "bin"
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--served-model-name": MODEL,
            "--dtype": "float32",
            "--max-model-len": "4096",
            "--max-num-seqs": "16",
            "--distributed-executor-backend": "uni",
        }
        model = str(installation / "model")
        flags = [word for option in options.items() for word in option]
        command = ["nice", "-n", "10", str(programs / "vllm"), "serve", model, *flags, "--enforce-eager", *more]
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_HOST_IP": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        super().__init__(name, command, port, folder / f"{name}.log", environment)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of one of its own metrics over all labels but these."""
        return await metric(f"{self.url}/metrics", name, **labels)


class Gateway(Child):
    """`aibrix_mw serve` in front of these engines, or of those in a file of pods."""

    def __init__(self, engines: list[Engine], folder: Path, pods_file: Path | None = None, **variables: str) -> None:
        port, admin_port = free_port(), free_port()
        settings = folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(self._settings(port, admin_port, engines)))
        pods = [word for engine in engines for word in ("--pod", f"{MODEL}={engine.url}")]
        if pods_file is not None:
            pods = ["--pods", str(pods_file)]
        command = [sys.executable, "-m", "aibrix_mw", "serve", "--settings", str(settings), *pods]
        super().__init__("gateway", command, port, folder / "gateway.log", variables)
        self.admin_url = f"http://127.0.0.1:{admin_port}"

    @staticmethod
    def _settings(port: int, admin_port: int, engines: list[Engine]) -> dict[str, object]:
        return {
            "listen": {"host": "127.0.0.1", "port": port, "admin_port": admin_port},
            "models": {MODEL: {"aliases": [ALIAS]}, UNSERVED: {"endpoints": [engine.url for engine in engines]}},
            "shutdown": {"delay": 0, "grace": 5},
            "tracing": {"sample_ratio": 1.0},
        }

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of one of its own metrics over all labels but these."""
        return await metric(f"{self.admin_url}/metrics", name, **labels)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


async def metric(url: str, name: str, **labels: str) -> float:
    async with httpx.AsyncClient(timeout=SHORT_SECONDS) as http:
        text = (await http.get(url)).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = SHORT_SECONDS) -> float:
    """Ask again and again until it holds; seconds that it took."""
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        if await check():
            return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise AssertionError(f"not in {seconds} s: {what}")
