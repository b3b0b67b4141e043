"""The Dockerfile's steps without an image builder, and a gateway that starts from what they leave.

`python -m tests.chart.replay` (`make image-steps`) copies what `.dockerignore` lets through, runs the RUN steps with
their absolute folders moved into a temporary one, and starts the entry point as the image's user. The base image is
this machine: its Python and its C compiler.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.chart.tools import ROOT

FOLDERS = ("/src", "/dist", "/opt/aibrix-mw")
SYSTEM = re.compile(r"\bapt-get\b")
START_SECONDS = 30
STOP_SECONDS = 30


def say(line: str) -> None:
    """Tell what is going on."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def steps() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, as (name, rest)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def last(name: str) -> str:
    """Return the rest of the last instruction of a name."""
    return [rest for step, rest in steps() if step == name][-1]


def moved(text: str, root: Path) -> str:
    """Return a command with the image's own folders below `root`."""
    for folder in FOLDERS:
        text = re.sub(rf"(?<![\w.]){folder}\b", f"{root}{folder}", text)
    return text


def build(root: Path) -> dict[str, str]:
    """Run the steps; return the environment that the image would have."""
    for folder in FOLDERS:
        (root / folder[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / "src").mkdir()
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    subprocess.run(["cp", "-r", *[str(ROOT / name) for name in kept], str(root / "src")], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(root / "builder")], check=True)
    environment = {"PATH": f"{root}/builder/bin:{os.environ['PATH']}", "HOME": str(root)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    for step, rest in steps():
        if step == "ENV":
            pairs = dict(pair.split("=", 1) for pair in shlex.split(moved(rest, root)))
            environment |= {key: value.replace("$PATH", environment["PATH"]) for key, value in pairs.items()}
        elif step == "RUN" and not SYSTEM.search(rest):
            command = moved(rest, root)
            say(f"RUN {command}")
            subprocess.run(["sh", "-ec", command], cwd=root / "src", env=environment, check=True)
    return environment


def as_user(user: int) -> list[str]:
    """Return what makes a command another user's, who may still read: this machine's Python may be root's alone."""
    read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *read]


def serve(root: Path, environment: dict[str, str]) -> None:
    """Start what the image would start, as its user, with a model and free ports; stop it by the image's signal."""
    user = int(last("USER").partition(":")[0])
    entry = [part.strip(' "') for part in last("ENTRYPOINT").strip("[]").split(",")]
    entry += [part.strip(' "') for part in last("CMD").strip("[]").split(",")]
    entry[0] = str(root / "opt/aibrix-mw/bin" / entry[0])
    flags = ["--pod", "m=http://127.0.0.1:9", "--host", "127.0.0.1", "--port", "0", "--admin-port", "0"]
    command = [*(as_user(user) if os.getuid() == 0 else []), *entry, *flags]
    running = subprocess.Popen(
        command, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        port = _admin_port(running)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"aibrix_gateway_" in answer.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
    finally:
        running.terminate()
        running.wait(STOP_SECONDS)
    assert running.returncode == 0, running.returncode


def _admin_port(running: "subprocess.Popen[str]") -> int:
    end = time.monotonic() + START_SECONDS
    assert running.stdout is not None
    while time.monotonic() < end:
        line = running.stdout.readline()
        say(line.rstrip())
        if found := re.search(r"admin on \S+ port (\d+)", line):
            return int(found[1])
        assert line, "the gateway has ended"
    raise AssertionError("the gateway does not say that it serves")


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def main() -> None:
    """Replay and tell what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        environment = build(root)
        (compiled, *_) = [*(root / "opt/aibrix-mw").rglob("aibrix_mw/proxy.*.so"), None]
        assert compiled is not None, "the hot path is not compiled"
        serve(root, environment)
        say(f"passed: {size(root / 'opt') / 1e6:.0f} MB besides the base image")


if __name__ == "__main__":
    main()
