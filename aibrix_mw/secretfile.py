"""A secret that stands in a file: read at the start, and again whenever the file changes."""

import logging
import os
from pathlib import Path

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.filewatch import Fingerprint, fingerprint, watch_file

logger = logging.getLogger("aibrix_mw")


class SecretFile:
    """The content of a file without the white space around it; `setting` is what names the file in faults."""

    def __init__(self, path: str | os.PathLike[str], setting: str) -> None:
        self.path = Path(path)
        self.setting = setting
        self._value = b""
        self._seen: Fingerprint = None

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r}, {self.setting!r})"

    def __call__(self) -> bytes:
        """The secret."""
        return self._value

    def load(self) -> None:
        """Read the file; ConfigurationError when that is not possible, or when it is empty or no header value."""
        self._seen = fingerprint(self.path)
        self._value = self._read()

    async def watch(self) -> None:
        """Read the file again within 0.5 s of each change; runs until cancelled."""
        await watch_file(self.path, self.reload, since=self._seen)

    def reload(self) -> None:
        """Take over the file as it is now; a bad one is reported, and the secret before it stays."""
        try:
            self._value = self._read()
        except ConfigurationError as error:
            logger.error("%s; the last good version stays", error)
            return
        logger.info("%s: read again", self.path)

    def _read(self) -> bytes:
        try:
            value = self.path.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError([Fault(self.setting, f"{self.path}: {error.strerror}")]) from None
        if not value or any(byte <= 0x20 or byte >= 0x7F for byte in value):
            raise ConfigurationError([Fault(self.setting, f"{self.path}: expected one line of visible ASCII")])
        return value
