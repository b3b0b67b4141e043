"""Real processes of `python -m aibrix_mw`, and waiting for what they say and do, always with a bound."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

PATIENCE = 30.0
TICK = 0.02
CHAT = "/v1/chat/completions"


def chat(**fields):
    """Body of a chat request."""
    return {"model": "my-model", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, **fields}


class Process:
    """One child; its output goes to files, so that no pipe fills up."""

    command: tuple[str, ...] = (sys.executable, "-m", "aibrix_mw")

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.arguments = arguments
        self.log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AIBRIX_MW_")}
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [*self.command, *arguments],
                env=environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def messages(self) -> list[str]:
        """What a gateway has logged, but for the lines of requests."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line["message"] for line in lines if "message" in line]

    def said(self, pattern: str) -> re.Match[str]:
        """Wait until the output has this in it."""
        until = time.monotonic() + PATIENCE
        while (match := re.search(pattern, self.output)) is None:
            ended = self.child.poll()
            if ended is not None or time.monotonic() > until:
                raise AssertionError(f"{self.arguments}: no {pattern!r}, exit status {ended}:\n{self.output}")
            time.sleep(TICK)
        return match

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for the exit status."""
        return self.child.wait(seconds)

    def end(self) -> None:
        """End it in good order, else by force."""
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            self.ended()
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.ended()
            raise


class Engine(Process):
    """`aibrix-mw engine` on a free port."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        super().__init__(folder, "engine", "--model", "my-model", "--name", name, "--port", "0", *arguments)
        self.name = name
        self.url = self.said(r"serves .* on (http://\S+)")[1]
        self.port = int(self.url.rpartition(":")[2])
        self.pod = f"--pod=my-model={self.url}"


class Gateway(Process):
    """`aibrix-mw serve` on free ports of 127.0.0.1; ends without delay unless a variable says otherwise."""

    def __init__(self, folder: Path, *arguments: str, scheme: str = "http", **variables: str) -> None:
        quick = {"AIBRIX_MW_SHUTDOWN__DELAY": "0", "AIBRIX_MW_SHUTDOWN__GRACE": "1"}
        ports = ("--host", "127.0.0.1", "--port", "0", "--admin-port", "0")
        super().__init__(folder, "serve", *ports, *arguments, **quick | variables)
        ports_said = self.said(r"serving on port (\d+), admin on 127.0.0.1 port (\d+)")
        self.port, admin_port = int(ports_said[1]), int(ports_said[2])
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"


async def eventually(check, what: str, seconds: float = PATIENCE):
    """Ask again and again until it holds; gives what it said."""
    until = time.monotonic() + seconds
    while not (seen := await check()):
        if time.monotonic() > until:
            raise AssertionError(f"not in {seconds} s: {what}")
        await asyncio.sleep(TICK)
    return seen


async def readiness(http: httpx.AsyncClient) -> int | None:
    """Status of `/readyz` over a connection of its own; None when nobody listens."""
    try:
        return (await http.get("/readyz", headers={"connection": "close"})).status_code
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):  # the latter: accepted too late, or not
        return None
