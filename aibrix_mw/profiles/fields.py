"""The schema of the annotation: key -> field and reader; a reader raises ValueError with the reason."""

import math
from collections.abc import Callable
from typing import NamedTuple

from aibrix_mw.profiles.selection import HINTS

Reader = Callable[[object], object]
"""Returns the value of a key, or raises ValueError with the reason why it is none."""

# the largest integer that every JSON implementation, and a Lua script in a store, keeps exact
_LARGEST = 2**53 - 1


def kind_of(value: object) -> str:
    """What JSON calls the value's type."""
    kinds: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}
    return "null" if value is None else kinds.get(type(value), "an object")


def _integer(value: object) -> int:
    if isinstance(value, float):
        raise ValueError("expected an integer, got a number with a fraction or an exponent")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, got {kind_of(value)}")
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {kind_of(value)}")
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
        raise ValueError(f"expected true or false, got {kind_of(value)}")
    return value


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {kind_of(value)}")
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


class Field(NamedTuple):
    """The struct's name of a key, and how its value is read."""

    name: str
    read: Callable[[object], object]


CONFIG_FIELDS = {
    "defaultProfile": Field("default_profile", _default_name),
    "lockedRoutingStrategy": Field("locked_routing_strategy", _text),
    "requestsPerSecond": Field("requests_per_second", _limit),
    "authoritativeRoutingPolicy": Field("authoritative_routing_policy", _flag),
    "profiles": Field("profiles", _as_is),
}
PROFILE_FIELDS = {
    "routingStrategy": Field("routing_strategy", _text),
    "routingConfig": Field("routing_config", _as_is),
    "requestsPerSecond": Field("requests_per_second", _limit),
    "requestsInflight": Field("requests_inflight", _limit),
    "requestsPerSecondPerReplica": Field("requests_per_second_per_replica", _rate),
    "timeouts": Field("timeouts", _as_is),
}
_ROUTING_READERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(HINTS, _at_least(0, _integer)),
    "blockBytes": _at_least(1, _integer),
    "maxBlocks": _at_least(1, _integer),
    "imbalance": _at_least(0, _integer),
    "deviationFactor": _at_least(0, _number),
    "maxQueueSeconds": _at_least(0, _number),
    "fairnessWeight": _at_least(0, _number),
    "utilizationWeight": _at_least(0, _number),
    "windowSeconds": _seconds,
    "combined": _flag,
    "promptLenBucketMinLength": _at_least(0, _integer),
    "promptLenBucketMaxLength": _at_least(0, _integer),
    "prefillScorePolicy": _one_of("prefix_cache", "least_request"),
    "decodeScorePolicy": _one_of("load_balancing", "least_request"),
}
ROUTING_FIELDS = {key: Field(key, read) for key, read in _ROUTING_READERS.items()}
# The keys of `upstream` in the settings, which this module may not import.
_TIMEOUT_READERS: dict[str, Callable[[object], object]] = {
    "connect_timeout": _seconds,
    "first_byte_timeout": _seconds,
    "response_timeout": _seconds,
    "idle_timeout": _seconds,
    "keepalive": _at_least(0, _number),
    "prefill_timeout": _seconds,
}
TIMEOUT_FIELDS = {key: Field(key, read) for key, read in _TIMEOUT_READERS.items()}
