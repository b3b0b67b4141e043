"""Notice that a file changes, by looking at it: works on every file system, and through a ConfigMap's symlinks."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

logger = logging.getLogger("aibrix_mw")

Fingerprint = tuple[int, int, int] | None


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """What changes with a file: modification time in ns, inode, size in bytes; None when it cannot be looked at."""
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


async def watch_file(
    path: str | os.PathLike[str],
    changed: Callable[[], object],
    *,
    interval: float = 0.25,
    since: Fingerprint = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Call `changed` whenever the file is another one than before, is gone or is back; runs until cancelled.

    Looks every `interval` seconds and follows symlinks. `since` is the fingerprint taken before the caller read the
    file (default: as it is now), so that no change slips in between. An error that `changed` raises is logged.
    """
    seen = fingerprint(path) if since is None else since
    while True:
        now = fingerprint(path)
        if now != seen:
            seen = now
            _tell(path, changed)
        await sleep(interval)


def _tell(path: str | os.PathLike[str], changed: Callable[[], object]) -> None:
    try:
        changed()
    except Exception:
        logger.exception("%s: cannot take over the change", os.fspath(path))
