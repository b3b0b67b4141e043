"""CPU time and resident memory of a process tree, from /proc (Linux)."""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_RSS: Final = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


class Cpu(NamedTuple):
    """CPU time in seconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Seconds in user and kernel mode together."""
        return self.user + self.system

    def since(self, before: "Cpu") -> "Cpu":
        """Give what was used after `before`."""
        return Cpu(self.user - before.user, self.system - before.system)


class Stat(NamedTuple):
    """What /proc/PID/stat tells: the parent's pid, and the time of all threads and of children already waited for."""

    parent: int
    cpu: Cpu


def parse_stat(text: str) -> Stat:
    """Read /proc/PID/stat; the command's name, in parentheses, may hold spaces and parentheses itself."""
    fields = text.rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    return Stat(int(fields[1]), Cpu((user + child_user) * _TICK, (system + child_system) * _TICK))


def parse_rss(status: str) -> int:
    """Read the resident bytes from /proc/PID/status; 0 where there are none (a zombie)."""
    found = _RSS.search(status)
    return int(found[1]) * 1024 if found else 0


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stats() -> dict[int, Stat]:
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 -- much faster than Path
    return {pid: parse_stat(text) for pid in pids if (text := _read(pid, "stat"))}


def descendants(root: int, stats: dict[int, Stat]) -> list[int]:
    """Give `root` and every process below it that is in `stats`."""
    found = [root] if root in stats else []
    for pid in found:
        found.extend(child for child, stat in stats.items() if stat.parent == pid)
    return found


def tree_cpu(root: int) -> Cpu:
    """Give the CPU seconds that the process and all below it have used since they started."""
    stats = _stats()
    used = [stats[pid].cpu for pid in descendants(root, stats)]
    return Cpu(sum(cpu.user for cpu in used), sum(cpu.system for cpu in used))


def tree_rss_bytes(root: int) -> int:
    """Give the resident bytes of the process and all below it."""
    return sum(parse_rss(_read(pid, "status")) for pid in descendants(root, _stats()))


def percentile(ordered: list[float], share: float) -> float:
    """Give the nearest-rank percentile of sorted values (share 0.5 = median), 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
