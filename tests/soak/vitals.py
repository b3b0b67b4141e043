"""What a process holds: memory, threads, sockets by whom they lead to, tasks. From /proc (Linux)."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import parse_rss
from tests.soak.stage import Stage

_ESTABLISHED, _LISTENS = "01", "0A"


class Vitals(NamedTuple):
    """Resident bytes, threads, open descriptors that are no sockets, sockets by whom they lead to.

    Of the inside: tasks by name, and objects by type.
    """

    rss: int
    threads: int
    files: int
    sockets: dict[str, int]
    tasks: dict[str, int]
    objects: dict[str, int]


class Ends(NamedTuple):
    """The ports by which sockets are told apart."""

    gateway: int
    admin: int
    store: int
    engines: Collection[int]

    def of(self, local: int, remote: int, state: str) -> str:
        """Whom a socket with these ports leads to."""
        if state == _LISTENS:
            return "listening"
        if local == self.gateway:
            return "clients"
        if local == self.admin:
            return "operators"
        if remote == self.store:
            return "store"
        return "engines" if remote in self.engines else "others"


def sockets(pid: int, ends: Ends) -> dict[str, int]:
    """The open TCP sockets of a process, by whom they lead to; what is no TCP counts as `files`."""
    kinds = {inode: ends.of(local, remote, state) for inode, local, remote, state in _table(pid)}
    counted: Counter[str] = Counter()
    for entry in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - a descriptor is no path
        with suppress(FileNotFoundError):
            name = os.readlink(f"/proc/{pid}/fd/{entry}")  # noqa: PTH115
            counted[kinds.get(name.removeprefix("socket:[").removesuffix("]"), "files")] += 1
    return dict(counted)


def _table(pid: int) -> list[tuple[str, int, int, str]]:
    """Inode, local port, remote port and state of each TCP socket that the process could see."""
    rows = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(fields[at].rpartition(":")[2], 16) for at in (1, 2))
            rows.append((fields[9], local, remote, fields[3]))
    return rows


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return parse_rss(Path(f"/proc/{pid}/status").read_text())


async def vitals(stage: Stage) -> Vitals:
    """What the gateway holds now."""
    gateway = stage.gateway
    pid = gateway.child.pid
    admin = int(gateway.admin_url.rpartition(":")[2])
    found = sockets(pid, Ends(gateway.port, admin, stage.store_port, stage.ports))
    threads = len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
    resident = rss(pid)
    told = await asyncio.to_thread(_inside, pid, gateway.inside_file)
    return Vitals(resident, threads, found.pop("files", 0), found, **told)


def _inside(pid: int, file: Path) -> dict[str, dict[str, int]]:
    """Ask the process for its tasks and objects."""
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    until = time.monotonic() + 10
    while not file.exists():
        if time.monotonic() > until:
            raise AssertionError("the gateway does not tell what it holds")
        time.sleep(0.02)
    told: dict[str, dict[str, int]] = json.loads(file.read_text())
    return told
