"""The annotation as text, and how it is read.

It is JSON, written by hand into pod templates. Whatever is wrong in it is reported with its JSON path, all at once;
what is merely unknown is left out and warned about.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.profiles.fields import (
    CONFIG_FIELDS,
    PROFILE_FIELDS,
    ROUTING_FIELDS,
    TIMEOUT_FIELDS,
    Field,
    Reader,
    kind_of,
)
from aibrix_mw.profiles.selection import ConfigProfile, ModelConfig, json_path

OwnOptions = Callable[[str], Mapping[str, Reader]]
"""Further keys of routingConfig, by the name of the strategy that reads them; "" is no name."""


def parse_config(
    raw: str | bytes | Mapping[str, Any], own_options: OwnOptions | None = None
) -> tuple[ModelConfig, tuple[str, ...]]:
    """Parse an annotation (JSON text, or the object itself); return it with warnings, each naming its JSON path.

    `own_options` are asked for the keys of strategies that are not the gateway's. Raises ConfigurationError with every
    fault.
    """
    notes = _Notes(own_options or _no_options)
    data = _decode(raw, notes) if isinstance(raw, str | bytes) else raw
    if not isinstance(data, Mapping):
        raise ConfigurationError([Fault("$", f"expected an object, got {kind_of(data)}")])
    fields = notes.read(data, "$", CONFIG_FIELDS)
    fields["profiles"] = _profiles(fields.get("profiles"), fields.get("locked_routing_strategy") or "", notes)
    if notes.faults:
        raise ConfigurationError(notes.faults)
    return ModelConfig(**fields), tuple(notes.warnings)


# -- reading


class _Notes:
    """What is found on the way through one annotation."""

    def __init__(self, own_options: OwnOptions) -> None:
        self.own_options = own_options
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def read(self, value: object, path: str, fields: Mapping[str, Field]) -> dict[str, Any]:
        """Return the known keys of an object as fields; null is as good as absent."""
        if not isinstance(value, Mapping):
            self.fault(path, f"expected an object, got {kind_of(value)}")
            return {}
        found: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                self.warnings.append(f"{json_path(path, key)}: unknown key, left out{_suggest(key, fields)}")
            elif item is not None:
                self._read_field(found, item, json_path(path, key), fields[key])
        return found

    def _read_field(self, found: dict[str, Any], item: object, path: str, field: Field) -> None:
        try:
            found[field.name] = field.read(item)
        except ValueError as error:
            self.fault(path, str(error))

    def read_options(self, value: object, path: str, strategies: Iterable[str]) -> dict[str, Any]:
        """Return a routingConfig: the gateway's keys, and those of the strategies that it may be for."""
        own = {key: Field(key, read) for name in strategies for key, read in self.own_options(name).items()}
        return self.read(value, path, {**own, **ROUTING_FIELDS})

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(Fault(path, reason))


def _profiles(raw: object, locked: str, notes: _Notes) -> dict[str, ConfigProfile]:
    if raw is None or raw == {}:
        notes.fault("$.profiles", "expected at least one profile")
        return {}
    if not isinstance(raw, Mapping):
        notes.fault("$.profiles", f"expected an object, got {kind_of(raw)}")
        return {}
    profiles: dict[str, ConfigProfile] = {}
    for key, value in raw.items():
        path, name = json_path("$.profiles", key), str(key).strip()
        if not name or name in profiles:
            notes.fault(path, "a second profile of this name" if name else "a profile needs a name")
        profiles[name] = _profile(name, value, path, locked, notes)
    return profiles


def _profile(name: str, raw: object, path: str, locked: str, notes: _Notes) -> ConfigProfile:
    fields = notes.read(raw, path, PROFILE_FIELDS)
    strategies = {locked, fields.get("routing_strategy") or ""}
    fields["routing_config"] = notes.read_options(fields.get("routing_config", {}), f"{path}.routingConfig", strategies)
    fields["timeouts"] = notes.read(fields.get("timeouts", {}), f"{path}.timeouts", TIMEOUT_FIELDS)
    return ConfigProfile(name=name, **fields)


def _no_options(strategy: str) -> Mapping[str, Reader]:
    return {}


def _decode(raw: str | bytes, notes: _Notes) -> object:
    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            notes.warnings.append(f"$: keys given twice in one object, the last one counts: {', '.join(twice)}")
        return found

    try:
        return json.loads(raw, object_pairs_hook=collect, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        reason = f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text (byte {error.start})"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:  # NaN and Infinity, and what Python refuses: integers of thousands of digits
        reason = "not valid JSON: a number is not finite, or too large"
    raise ConfigurationError([Fault("$", reason)])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _suggest(key: object, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(str(key).lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
