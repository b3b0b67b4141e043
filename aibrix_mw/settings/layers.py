"""What one source of settings says: plain data by section, and for each dotted path where it was written."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from aibrix_mw.errors import Fault
from aibrix_mw.settings.document import join
from aibrix_mw.settings.rules import RENAMED
from aibrix_mw.settings.sifting import DROPPED


class Layer(msgspec.Struct):
    """What one source says, where it says so, and what cannot be understood."""

    data: dict[str, Any] = {}
    origins: dict[str, str] = {}
    faults: list[Fault] = []
    warnings: list[str] = []
    unread: bool = False  # nothing is known of what the source says


def rename(layer: Layer) -> None:
    """Move values from old paths to the new ones."""
    for old, new in RENAMED.items():
        value = _take(layer.data, old.split("."))
        if value is DROPPED:
            continue
        origin = layer.origins.get(old, "")
        if _at(layer.data, new.split(".")) is not DROPPED:
            layer.faults.append(Fault(old, f"is the old name of {new}, which is given too"))
            continue
        put(layer, new, value, origin)
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


def put(layer: Layer, path: str, value: object, origin: str) -> None:
    """Set the value at a path, and note where it was written."""
    *parents, last = path.split(".")
    nested = {last: value}
    for key in reversed(parents):
        nested = {key: nested}
    layer.data = merge(layer.data, nested)
    _mark(layer.origins, path, value, origin)


def _mark(origins: dict[str, str], path: str, value: object, origin: str) -> None:
    origins[path] = origin
    if isinstance(value, dict):
        for key in value:
            _mark(origins, join(path, key), value[key], origin)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `over` laid onto `base`: mappings key by key, anything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def located(faults: Iterable[Fault], origins: dict[str, str]) -> Iterator[Fault]:
    """Add to each fault where its value, or the nearest mapping around it, was written."""
    for fault in faults:
        path = fault.path.partition("[")[0]
        while path and not origins.get(path):
            path = path.rpartition(".")[0]
        yield Fault(fault.path, f"{fault.reason} ({origins[path]})") if path else fault
