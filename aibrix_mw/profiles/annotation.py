"""The annotation as text: its schema, and how it is read.

It is JSON, written by hand into pod templates. Whatever is wrong in it is reported with its JSON path, all at once;
what is merely unknown is left out and warned about.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.profiles.selection import HINTS, ConfigProfile, ModelConfig, json_path

# the largest integer that every JSON implementation, and a Lua script in a store, keeps exact
_LARGEST = 2**53 - 1


def parse_config(raw: str | bytes | Mapping[str, Any]) -> tuple[ModelConfig, tuple[str, ...]]:
    """Parse an annotation (JSON text, or the object itself); return it with warnings, each naming its JSON path.

    Raises ConfigurationError with every fault.
    """
    notes = _Notes()
    data = _decode(raw, notes) if isinstance(raw, str | bytes) else raw
    if not isinstance(data, Mapping):
        raise ConfigurationError([Fault("$", f"expected an object, got {_kind_of(data)}")])
    fields = notes.read(data, "$", _CONFIG_FIELDS)
    fields["profiles"] = _profiles(fields.get("profiles"), notes)
    if notes.faults:
        raise ConfigurationError(notes.faults)
    return ModelConfig(**fields), tuple(notes.warnings)


# -- the schema: key of the annotation -> field and reader; a reader raises ValueError with the reason


def _integer(value: object) -> int:
    if isinstance(value, float):
        raise ValueError("expected an integer, got a number with a fraction or an exponent")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, got {_kind_of(value)}")
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {_kind_of(value)}")
    number = value if isinstance(value, float) else float(_integer(value))
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _limit(value: object) -> int:
    return max(0, _integer(value))


def _rate(value: object) -> float:
    return max(0.0, _number(value))


def _at_least(bound: int, read: Callable[[object], float]) -> Callable[[object], float]:
    def checked(value: object) -> float:
        number = read(value)
        if number < bound:
            raise ValueError(f"expected a number >= {bound}")
        return number

    return checked


def _seconds(value: object) -> float:
    seconds = _number(value)
    if seconds <= 0:
        raise ValueError("expected a number of seconds > 0")
    return seconds


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_kind_of(value)}")
    return value


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {_kind_of(value)}")
    return value.strip() or None


def _default_name(value: object) -> str:
    return _text(value) or "default"


def _one_of(*choices: str) -> Callable[[object], str]:
    def checked(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return str(value)

    return checked


def _as_is(value: object) -> object:
    return value


class _Field(NamedTuple):
    name: str
    read: Callable[[object], object]


_CONFIG_FIELDS = {
    "defaultProfile": _Field("default_profile", _default_name),
    "lockedRoutingStrategy": _Field("locked_routing_strategy", _text),
    "requestsPerSecond": _Field("requests_per_second", _limit),
    "authoritativeRoutingPolicy": _Field("authoritative_routing_policy", _flag),
    "profiles": _Field("profiles", _as_is),
}
_PROFILE_FIELDS = {
    "routingStrategy": _Field("routing_strategy", _text),
    "routingConfig": _Field("routing_config", _as_is),
    "requestsPerSecond": _Field("requests_per_second", _limit),
    "requestsInflight": _Field("requests_inflight", _limit),
    "requestsPerSecondPerReplica": _Field("requests_per_second_per_replica", _rate),
    "timeouts": _Field("timeouts", _as_is),
}
_ROUTING_READERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(HINTS, _at_least(0, _integer)),
    "blockBytes": _at_least(1, _integer),
    "maxBlocks": _at_least(1, _integer),
    "imbalance": _at_least(0, _integer),
    "deviationFactor": _at_least(0, _number),
    "maxQueueSeconds": _at_least(0, _number),
    "combined": _flag,
    "promptLenBucketMinLength": _at_least(0, _integer),
    "promptLenBucketMaxLength": _at_least(0, _integer),
    "prefillScorePolicy": _one_of("prefix_cache", "least_request"),
    "decodeScorePolicy": _one_of("load_balancing", "least_request"),
}
_ROUTING_FIELDS = {key: _Field(key, read) for key, read in _ROUTING_READERS.items()}
# The keys of `upstream` in the settings, which this module may not import.
_TIMEOUT_READERS: dict[str, Callable[[object], object]] = {
    "connect_timeout": _seconds,
    "first_byte_timeout": _seconds,
    "response_timeout": _seconds,
    "idle_timeout": _seconds,
    "keepalive": _at_least(0, _number),
    "prefill_timeout": _seconds,
}
_TIMEOUT_FIELDS = {key: _Field(key, read) for key, read in _TIMEOUT_READERS.items()}


# -- reading


class _Notes:
    """What is found on the way through one annotation."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def read(self, value: object, path: str, fields: Mapping[str, _Field]) -> dict[str, Any]:
        """Return the known keys of an object as fields; null is as good as absent."""
        if not isinstance(value, Mapping):
            self.fault(path, f"expected an object, got {_kind_of(value)}")
            return {}
        found: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                self.warnings.append(f"{json_path(path, key)}: unknown key, left out{_suggest(key, fields)}")
            elif item is not None:
                self._read_field(found, item, json_path(path, key), fields[key])
        return found

    def _read_field(self, found: dict[str, Any], item: object, path: str, field: _Field) -> None:
        try:
            found[field.name] = field.read(item)
        except ValueError as error:
            self.fault(path, str(error))

    def fault(self, path: str, reason: str) -> None:
        self.faults.append(Fault(path, reason))


def _profiles(raw: object, notes: _Notes) -> dict[str, ConfigProfile]:
    if raw is None or raw == {}:
        notes.fault("$.profiles", "expected at least one profile")
        return {}
    if not isinstance(raw, Mapping):
        notes.fault("$.profiles", f"expected an object, got {_kind_of(raw)}")
        return {}
    profiles: dict[str, ConfigProfile] = {}
    for key, value in raw.items():
        path, name = json_path("$.profiles", key), str(key).strip()
        if not name or name in profiles:
            notes.fault(path, "a second profile of this name" if name else "a profile needs a name")
        profiles[name] = _profile(name, value, path, notes)
    return profiles


def _profile(name: str, raw: object, path: str, notes: _Notes) -> ConfigProfile:
    fields = notes.read(raw, path, _PROFILE_FIELDS)
    fields["routing_config"] = notes.read(fields.get("routing_config", {}), f"{path}.routingConfig", _ROUTING_FIELDS)
    fields["timeouts"] = notes.read(fields.get("timeouts", {}), f"{path}.timeouts", _TIMEOUT_FIELDS)
    return ConfigProfile(name=name, **fields)


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


def _kind_of(value: object) -> str:
    kinds: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}
    return "null" if value is None else kinds.get(type(value), "an object")


def _suggest(key: object, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(str(key).lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
