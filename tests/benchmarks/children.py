"""Start and stop the processes of a bench: each in a process group of its own, pinned, and never left behind."""

import atexit
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
BIN: Final = Path(sys.executable).parent
_GRACE: Final = 2.0  # seconds between SIGTERM and SIGKILL
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """A part of the bench does not work; the message says which."""


def module(name: str, *arguments: object) -> list[str]:
    """Give the command that runs a module of the harness with this Python."""
    return [sys.executable, "-m", f"{__package__}.{name}", *map(str, arguments)]


def installed(program: str) -> Path | None:
    """Give the program of that name from the environment the bench runs in, None when it is not installed."""
    path = BIN / program
    return path if path.exists() else None


def free_port() -> int:
    """Give a TCP port of 127.0.0.1 that nothing listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def core_pair(pin: bool) -> tuple[set[int], set[int]]:
    """Give the cores for the gateway and those for load and engine: one and the rest; all for both without pinning."""
    cores = sorted(os.sched_getaffinity(0))
    if not pin or len(cores) < 2:
        return set(cores), set(cores)
    return {cores[-1]}, set(cores[:-1])


def _prepare(cores: set[int]) -> Callable[[], None]:
    def before_exec() -> None:
        os.sched_setaffinity(0, cores)
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return before_exec


class Children:
    """The processes that run; as a context manager it stops all of them, also on an error or Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[str]] = {}
        atexit.register(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        atexit.unregister(self.stop)

    def start(self, name: str, command: Sequence[str], cores: set[int], *, pipe: bool = False) -> subprocess.Popen[str]:
        """Start a process on these cores; its output goes to a log file, or standard output to us with `pipe`."""
        with self.log(name).open("w") as log:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=_prepare(cores),
            )
        self._running[name] = child
        return child

    def output(self, name: str, command: Sequence[str], cores: set[int], timeout: float) -> str:
        """Run a process to its end, within `timeout` seconds, and give what it printed."""
        child = self.start(name, command, cores, pipe=True)
        try:
            text, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{name} did not end within {timeout:.0f} s") from error
        finally:
            _signal(child, signal.SIGKILL)
        if child.returncode:
            raise BenchError(f"{name} failed: {self.tail(name)}")
        del self._running[name]
        return text

    def check(self, name: str) -> None:
        """Raise when the process has ended by itself."""
        code = self._running[name].poll()
        if code is not None:
            raise BenchError(f"{name} ended with {code}: {self.tail(name)}")

    def log(self, name: str) -> Path:
        """Give the file that holds what the process printed."""
        return self.folder / f"{name}.log"

    def tail(self, name: str) -> str:
        """Give the last lines that the process printed."""
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-15:]).strip()

    def stop(self) -> None:
        """End every process group: SIGTERM, then SIGKILL for what is left after two seconds."""
        for child in self._running.values():
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for child in self._running.values():
            _wait(child, deadline - time.monotonic())
            _signal(child, signal.SIGKILL)
            child.wait()
        self._running.clear()


def _wait(child: subprocess.Popen[str], seconds: float) -> None:
    try:
        child.wait(max(seconds, 0.01))
    except subprocess.TimeoutExpired:
        return


def _signal(child: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return
