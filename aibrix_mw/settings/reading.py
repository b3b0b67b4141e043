"""Files, variables and flags -> Settings, or every fault in them.

Each source becomes a layer: plain data by section, and for each dotted path where it was written. What does not fit
the schema is reported and left out of its layer, the layers are merged (mappings key by key, all else replaced), and
what results is checked as a whole: so one run tells all faults.
"""

import copy
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_origin

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings.document import join, read_document
from aibrix_mw.settings.rules import RENAMED, broken_rules, doubts, has_password
from aibrix_mw.settings.schema import Settings
from aibrix_mw.settings.sifting import (
    DROPPED,
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


class Layer(msgspec.Struct):
    """What one source says, where it says so, and what cannot be understood."""

    data: dict[str, Any] = {}
    origins: dict[str, str] = {}
    faults: list[Fault] = []
    warnings: list[str] = []
    unread: bool = False  # nothing is known of what the source says


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
    _rename(layer)
    return _check(layer).unwrap()


def _check(*layers: Layer) -> Checked:
    merged = Layer()
    for layer in layers:
        _add(merged, layer)
    settings = msgspec.convert(merged.data, Settings)
    broken = broken_rules(settings, [fault.path for fault in merged.faults], partial=merged.unread)
    faults = (*merged.faults, *_located(broken, merged.origins))
    if faults:
        return Checked(None, faults, tuple(merged.warnings))
    return Checked(settings, (), (*merged.warnings, *doubts(settings)))


def _add(merged: Layer, layer: Layer) -> None:
    """Lay `layer` onto `merged`, as far as it fits the schema."""
    found: list[Fault] = []
    fitting = sift(layer.data, found)
    merged.data = _merge(merged.data, fitting)
    merged.origins |= layer.origins
    merged.faults += [*layer.faults, *_located(found, layer.origins)]
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
    _rename(layer)
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
            _put(layer, path, _from_text(env[name], kind), name)
        except msgspec.ValidationError as error:
            layer.faults.append(Fault(path, f"{reason(error, kind)} ({name})"))
        except (msgspec.DecodeError, ValueError, RecursionError):
            layer.faults.append(Fault(path, f"expected JSON ({name})"))
    _rename(layer)
    return layer


def _flags_layer(flags: Mapping[str, Any]) -> Layer:
    layer = Layer()
    for path in sorted(flags, key=lambda path: path.count(".")):
        if flags[path] is None:
            continue
        if RENAMED.get(path, path) in known_paths():
            _put(layer, path, flags[path], "command line")
        else:
            layer.faults.append(Fault(path, f"unknown setting{suggest(closest(path, known_paths()))}"))
    _rename(layer)
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


def _rename(layer: Layer) -> None:
    """Move values from old paths to the new ones."""
    for old, new in RENAMED.items():
        value = _take(layer.data, old.split("."))
        if value is DROPPED:
            continue
        origin = layer.origins.get(old, "")
        if _at(layer.data, new.split(".")) is not DROPPED:
            layer.faults.append(Fault(old, f"is the old name of {new}, which is given too"))
            continue
        _put(layer, new, value, origin)
        layer.warnings.append(f"{old} is now called {new}; the old name will stop working")


# -- data by path


def _at(data: object, keys: list[str]) -> object:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return DROPPED
        data = data[key]
    return data


def _take(data: object, keys: list[str]) -> object:
    """Remove and return the value at a path, and the mappings that become empty by it."""
    if not isinstance(data, dict) or keys[0] not in data:
        return DROPPED
    if len(keys) == 1:
        return data.pop(keys[0])
    value = _take(data[keys[0]], keys[1:])
    if value is not DROPPED and not data[keys[0]]:
        del data[keys[0]]
    return value


def _put(layer: Layer, path: str, value: object, origin: str) -> None:
    *parents, last = path.split(".")
    nested = {last: value}
    for key in reversed(parents):
        nested = {key: nested}
    layer.data = _merge(layer.data, nested)
    _mark(layer.origins, path, value, origin)


def _mark(origins: dict[str, str], path: str, value: object, origin: str) -> None:
    origins[path] = origin
    if isinstance(value, dict):
        for key in value:
            _mark(origins, join(path, key), value[key], origin)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `over` laid onto `base`: mappings key by key, anything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _located(faults: Iterable[Fault], origins: dict[str, str]) -> Iterator[Fault]:
    """Add to each fault where its value, or the nearest mapping around it, was written."""
    for fault in faults:
        path = fault.path.partition("[")[0]
        while path and not origins.get(path):
            path = path.rpartition(".")[0]
        yield Fault(fault.path, f"{fault.reason} ({origins[path]})") if path else fault
