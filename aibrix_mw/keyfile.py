"""A keys file: hashes of clients' keys, followed while it changes."""

import logging
import os
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.filewatch import Fingerprint, fingerprint, watch_file
from aibrix_mw.keys import ANY, Key, KeyRing
from aibrix_mw.settings.document import Document, read_document
from aibrix_mw.settings.schema import Section
from aibrix_mw.settings.sifting import reason

logger = logging.getLogger("aibrix_mw")

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_NOT_A_HASH = "expected the SHA-256 of a key: 64 hexadecimal digits, as `aibrix-mw keys new` prints them"
_NOT_A_NAME = "* stands for all of them, and not for a part of a name"


class KeyEntry(Section, frozen=True):
    """One entry of a keys file; a name may have several keys, so that one can be replaced by another."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    sha256: str
    tenant: Annotated[str, Meta(min_length=1)] | None = None
    models: tuple[str, ...] = (ANY,)
    profiles: tuple[str, ...] = (ANY,)

    def key(self) -> Key:
        """What the entry says of its key."""
        return Key(self.name, self.tenant or self.name, frozenset(self.models), frozenset(self.profiles))


def read_keys(text: str | bytes, where: str) -> list[KeyEntry]:
    """The entries of a keys file named `where`. ConfigurationError with every fault; none repeats a value."""
    document = read_document(text, where)
    faults = [fault if fault.path == where else Fault(where + fault.path, fault.reason) for fault in document.faults]
    rows = [] if document.data is None else document.data
    if isinstance(rows, list):
        entries = [_read_entry(row, f"[{index}]", document, where, faults) for index, row in enumerate(rows)]
    else:
        faults.append(Fault(where, "expected a list of keys"))
    if faults:
        raise ConfigurationError(faults)
    return entries


def _read_entry(row: object, path: str, document: Document, where: str, faults: list[Fault]) -> KeyEntry:
    """One entry; what is wrong with it is added to `faults`."""

    def add(at: str, why: str) -> None:
        line = document.lines.get(path + at)
        faults.append(Fault(where + path + at, why if line is None else f"{why} (line {line})"))

    try:
        entry = msgspec.convert(row, KeyEntry)
    except msgspec.ValidationError as error:
        add(str(error).partition(" - at `$")[2].rstrip("`"), reason(error, KeyEntry))
        return KeyEntry(name="", sha256="")
    if not _HASH.fullmatch(entry.sha256):
        add(".sha256", _NOT_A_HASH)
    for field, names in (("models", entry.models), ("profiles", entry.profiles)):
        if any(ANY in name and name != ANY for name in names):
            add(f".{field}", _NOT_A_NAME)
    return entry


class KeyFile:
    """A keys file that a key ring is kept in step with; `fault` says what is wrong with the file as it is now."""

    def __init__(self, path: str | os.PathLike[str], ring: KeyRing) -> None:
        self.path = Path(path)
        self.ring = ring
        self.fault: Fault | None = None
        self._seen: Fingerprint = None

    def load(self) -> None:
        """Read the file for the first time; ConfigurationError when it is missing or broken."""
        self._seen = fingerprint(self.path)
        self.ring.replace((entry.sha256, entry.key()) for entry in self._read())

    async def watch(self) -> None:
        """Read the file again within 0.5 s of each change; runs until cancelled."""
        await watch_file(self.path, self.reload, since=self._seen)

    def reload(self) -> None:
        """Take over the file as it is now; a broken one is reported once, and the keys before it stay."""
        try:
            self.ring.replace((entry.sha256, entry.key()) for entry in self._read())
        except ConfigurationError as error:
            if error.faults[0] != self.fault:
                logger.error("%s; the last good version stays", error)
            self.fault = error.faults[0]
            return
        self.fault = None
        logger.info("%s: read again, %d keys", self.path, len(self.ring))

    def _read(self) -> list[KeyEntry]:
        try:
            text = self.path.read_bytes()
        except OSError as error:
            raise ConfigurationError([Fault(str(self.path), f"cannot be read: {error.strerror}")]) from None
        return read_keys(text, str(self.path))
