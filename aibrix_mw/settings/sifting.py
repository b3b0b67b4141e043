"""Plain data against the schema: what does not fit is left out and reported, each time with its dotted path.

msgspec by itself stops at the first fault and does not name the key of a mapping; here every fault is found, and said
in an operator's words. A value is never repeated.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import msgspec

from aibrix_mw.errors import Fault
from aibrix_mw.settings.document import join
from aibrix_mw.settings.schema import Section, Settings

DROPPED = object()
"""Stands for a value that is not there, or not any more; None is a value."""


def sift(data: Mapping[str, object], faults: list[Fault]) -> dict[str, object]:
    """Return what of `data` fits the schema; what does not is added to `faults`."""
    return _sift_section(data, Settings, "", faults)


def _sift(value: object, kind: object, path: str, faults: list[Fault]) -> object:
    """Return `value` without what does not fit `kind`, or DROPPED."""
    kind = _undescribed(kind)
    if is_section(kind):
        return _sift_section(value, kind, path, faults) if _is_mapping(value, path, faults) else DROPPED
    if get_origin(kind) is dict and is_section(get_args(kind)[1]):
        return _sift_entries(value, get_args(kind)[1], path, faults) if _is_mapping(value, path, faults) else DROPPED
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        items = [_sift(item, get_args(kind)[0], f"{path}[{index}]", faults) for index, item in enumerate(value)]
        # one bad item drops the list, so that no other item's index moves
        return DROPPED if any(item is DROPPED for item in items) else items
    return _sift_leaf(value, kind, path, faults)


def _is_mapping(value: object, path: str, faults: list[Fault]) -> TypeGuard[Mapping[object, object] | None]:
    """Whether a mapping stands where one must; None is an empty one: a section with all its keys commented out."""
    if value is None or isinstance(value, Mapping):
        return True
    faults.append(Fault(path, f"expected a mapping, got {kind_of(value)}"))
    return False


def _sift_section(
    value: Mapping[Any, object] | None, section: type[Section], path: str, faults: list[Fault]
) -> dict[str, object]:
    kinds = {field.name: field.type for field in msgspec.structs.fields(section)}
    kept = {}
    for key, item in (value or {}).items():
        if key in kinds:
            kept[key] = _sift(item, kinds[key], join(path, key), faults)
        else:
            faults.append(Fault(join(path, key), f"unknown key{suggest(_meant(key, kinds))}"))
    return _without_dropped(kept)


def _sift_entries(
    value: Mapping[Any, object] | None, section: type[Section], path: str, faults: list[Fault]
) -> dict[str, object]:
    kept = {}
    for key, item in (value or {}).items():
        if isinstance(key, str):
            kept[key] = _sift(item, section, join(path, key), faults)
        else:
            said = f"expected a string as the key, got {kind_of(key)}: put it in quotes"
            faults.append(Fault(join(path, key), said))
    return _without_dropped(kept)


def _without_dropped(kept: dict[str, object]) -> dict[str, object]:
    return {key: item for key, item in kept.items() if item is not DROPPED}


def _sift_leaf(value: object, kind: object, path: str, faults: list[Fault]) -> object:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(Fault(path, "expected a finite number"))
        return DROPPED
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        faults.append(Fault(path, reason(error, kind)))
        return DROPPED
    return value


@cache
def known_paths() -> dict[str, object]:
    """Return the kind of each dotted path of the schema, sections included."""
    return dict(_paths_of(Settings, ""))


def _paths_of(section: type[Section], path: str) -> Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(section):
        here = join(path, field.name)
        yield here, field.type
        if is_section(field.type):
            yield from _paths_of(field.type, here)


def _undescribed(kind: object) -> object:
    """Return `kind` without its description, where it is a section, mapping, list or choice: bounds stay on scalars."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return inner if is_section(inner) or get_origin(inner) in {dict, tuple, Literal} else kind


def members_of(kind: object) -> Iterator[object]:
    """Yield the types that a value of `kind` may have."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(inner) in {Union, UnionType}:
        for member in get_args(inner):
            yield from members_of(member)
    else:
        yield inner


def is_section(kind: object) -> TypeGuard[type[Section]]:
    """Whether `kind` is the struct of a section."""
    return isinstance(kind, type) and issubclass(kind, Section)


_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "array": "a list",
    "object": "a mapping",
    "dict": "a mapping",
    "list": "a list",
    "null": "null",
    "NoneType": "null",
}


def _words(names: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in names.split(" | "))


def kind_of(value: object) -> str:
    """Say what a value is, not which."""
    return _words(type(value).__name__)


def reason(error: msgspec.ValidationError, kind: object) -> str:
    """Say in an operator's words what msgspec says in Python's; never the value."""
    kind = _undescribed(kind)
    if get_origin(kind) is Literal:
        return f"expected one of {', '.join(get_args(kind))}"
    said = str(error).partition(" - at ")[0].replace("Expected", "expected", 1)
    return re.sub(r"`([^`]*)`", lambda match: _words(match[1]), said)


def closest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the known word that `wrong` is probably a slip for."""
    return next(iter(get_close_matches(wrong, known, n=1, cutoff=0.7)), None)


def suggest(word: str | None) -> str:
    """Return the end of a reason: the question whether `word` was meant, if there is one."""
    return f"; did you mean {word}?" if word else ""


def _meant(key: object, siblings: Mapping[str, object]) -> str | None:
    """Return a key of the same section, else the path of another section's key of that very name."""
    elsewhere = (known for known in known_paths() if known.endswith(f".{key}"))
    return closest(str(key), siblings) or next(elsewhere, None)
