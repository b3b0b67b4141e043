"""Files, variables and flags -> Settings, or every fault in them.

Each source becomes a layer: plain data by section, and for each dotted path where it was written. What does not fit
the schema is reported and left out of its layer, the layers are merged (mappings key by key, all else replaced), and
what results is checked as a whole: so one run tells all faults.
"""

import copy
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_origin

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings.document import read_document
from aibrix_mw.settings.layers import Layer, located, merge, put, rename
from aibrix_mw.settings.rules import RENAMED, broken_rules, doubts, has_password
from aibrix_mw.settings.schema import Settings
from aibrix_mw.settings.sifting import (
    closest,
    is_section,
    kind_of,
    known_paths,
    members_of,
    reason,
    sift,
    suggest,
)

PREFIX = "AIBRIX_MW_"
# What Kubernetes puts into every container of a namespace that has a Service named aibrix-mw or aibrix-mw-*.
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?$")
_SERVICE_LINK_URL = re.compile(r"(tcp|udp|sctp)://")
_log = logging.getLogger("aibrix_mw")


class Checked(msgspec.Struct, frozen=True):
    """The outcome of reading settings: `settings` is None when there are faults."""

    settings: Settings | None
    faults: tuple[Fault, ...]
    warnings: tuple[str, ...]

    def unwrap(self) -> Settings:
        """Return the settings, or raise ConfigurationError with every fault."""
        if self.settings is None:
            raise ConfigurationError(self.faults)
        return self.settings


def load(
    file: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read settings from `file`, environment and flags; warnings go to the logger `aibrix_mw`.

    `env` None means os.environ. Keys of `flags` are dotted paths; flags that are None are left out.
    Raises ConfigurationError with every fault.
    """
    checked = check(file, env, flags)
    for warning in checked.warnings:
        _log.warning("settings: %s", warning)
    return checked.unwrap()


def check(
    file: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Checked:
    """Read settings as `load` does, and return faults and warnings instead of raising and logging them."""
    return _check(
        Layer() if file is None else _file_layer(Path(file)),
        _env_layer(os.environ if env is None else env),
        _flags_layer(flags or {}),
    )


def parse_settings(text: str | bytes, name: str = "settings") -> Checked:
    """Check the text of a settings file by itself; faults of the whole text have `name` as their path."""
    return _check(_text_layer(text, name))


def from_dict(data: Mapping[str, Any]) -> Settings:
    """Return the settings that a mapping of the file's shape says. Raises ConfigurationError with every fault."""
    layer = Layer(data=copy.deepcopy(dict(data)))
    rename(layer)
    return _check(layer).unwrap()


def _check(*layers: Layer) -> Checked:
    merged = Layer()
    for layer in layers:
        _add(merged, layer)
    settings = msgspec.convert(merged.data, Settings)
    broken = broken_rules(settings, [fault.path for fault in merged.faults], partial=merged.unread)
    faults = (*merged.faults, *located(broken, merged.origins))
    if faults:
        return Checked(None, faults, tuple(merged.warnings))
    return Checked(settings, (), (*merged.warnings, *doubts(settings)))


def _add(merged: Layer, layer: Layer) -> None:
    """Lay `layer` onto `merged`, as far as it fits the schema."""
    found: list[Fault] = []
    fitting = sift(layer.data, found)
    merged.data = merge(merged.data, fitting)
    merged.origins |= layer.origins
    merged.faults += [*layer.faults, *located(found, layer.origins)]
    merged.warnings += layer.warnings
    merged.unread |= layer.unread


# -- sources


def _file_layer(file: Path) -> Layer:
    try:
        return _text_layer(file.read_bytes(), str(file))
    except OSError as error:
        return Layer(faults=[Fault(str(file), f"cannot be read: {error.strerror}")], unread=True)


def _text_layer(text: str | bytes, name: str) -> Layer:
    document = read_document(text, name)
    layer = Layer(faults=document.faults, origins={path: f"line {line}" for path, line in document.lines.items()})
    if isinstance(document.data, dict):
        layer.data = document.data
    elif document.data is not None:
        layer.faults.append(Fault(name, f"expected a mapping at the top, got {kind_of(document.data)}"))
    layer.unread = bool(layer.faults) and not layer.data
    rename(layer)
    store = layer.data.get("store")
    if isinstance(store, dict) and has_password(store.get("url")):
        layer.faults.append(Fault("store.url", "holds a password: use store.password_file or the environment"))
    return layer


def _env_layer(env: Mapping[str, str]) -> Layer:
    layer = Layer()
    names = [name for name in env if name.startswith(PREFIX) and not _is_service_link(name, env[name])]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):  # sections before their own keys
        path = name.removeprefix(PREFIX).lower().replace("__", ".")
        kind = known_paths().get(RENAMED.get(path, path))
        if kind is None:
            layer.faults.append(Fault(name, f"unknown variable{_suggest_variable(path)}"))
            continue
        try:
            put(layer, path, _from_text(env[name], kind), name)
        except msgspec.ValidationError as error:
            layer.faults.append(Fault(path, f"{reason(error, kind)} ({name})"))
        except (msgspec.DecodeError, ValueError, RecursionError):
            layer.faults.append(Fault(path, f"expected JSON ({name})"))
    rename(layer)
    return layer


def _flags_layer(flags: Mapping[str, Any]) -> Layer:
    layer = Layer()
    for path in sorted(flags, key=lambda path: path.count(".")):
        if flags[path] is None:
            continue
        if RENAMED.get(path, path) in known_paths():
            put(layer, path, flags[path], "command line")
        else:
            layer.faults.append(Fault(path, f"unknown setting{suggest(closest(path, known_paths()))}"))
    rename(layer)
    return layer


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name:
        return False
    if name.endswith("_PORT") and not name.endswith("_SERVICE_PORT"):  # LISTEN_PORT may be a slip for LISTEN__PORT
        return _SERVICE_LINK_URL.match(value) is not None
    return _SERVICE_LINK.search(name) is not None


def _suggest_variable(path: str) -> str:
    whole = [known for known, kind in known_paths().items() if path.startswith(f"{known}.") and not is_section(kind)]
    if whole:  # names of models and users are no part of a variable's name
        return f"; {_variable(whole[0])} takes all of {whole[0]} as JSON"
    meant = closest(path, known_paths())
    return suggest(meant and _variable(meant))


def _variable(path: str) -> str:
    return PREFIX + path.upper().replace(".", "__")


def _from_text(text: str, kind: object) -> object:
    """Return the value that a variable's text stands for: JSON for lists and mappings, null for empty where allowed."""
    members = list(members_of(kind))
    if not text and NoneType in members:
        return None
    if any(is_section(member) or get_origin(member) in {dict, tuple} for member in members):
        return msgspec.json.decode(text)
    return msgspec.convert(text, kind, strict=False)
