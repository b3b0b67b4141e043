"""Every setting, with what its field in the schema says."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from aibrix_mw.reference.markdown import Section, anchor, code, first_sentence, table
from aibrix_mw.settings import schema
from aibrix_mw.settings.rules import NOT_YET, RELOADABLE

_INTRODUCTION = """
The file is YAML. A flag wins over the environment, that over the file, and that over the default. In the environment
`routing.attempts` is `AIBRIX_MW_ROUTING__ATTEMPTS`, lists and mappings as JSON. Unknown keys, wrong types and
combinations that cannot be meant end the start with path and reason; `aibrix-mw validate` says the same.

`models`, `users` and `log.level` apply as soon as the file changes; everything else needs a restart. Secrets are in
files of their own or in the environment, never in this file.
"""


def section() -> Section:
    """A table for each section of the settings, and a list of them."""
    found = dict(_mappings("", schema.Settings))
    contents = " · ".join(f"[{path}](#{anchor(_title(path))})" for path in found)
    parts = [_INTRODUCTION.strip(), contents, *(_table(path, struct) for path, struct in found.items())]
    return Section("Settings", "\n\n".join(parts))


def paths() -> list[str]:
    """Every setting by its dotted path."""
    return [f"{path}.{name}" for path, struct in _mappings("", schema.Settings) for name, _, _ in _values(struct)]


def _mappings(path: str, struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Every section that has values, outermost first; the models' and users' by a placeholder."""
    if path and next(_values(struct), None) is not None:
        yield path, struct
    for name, kind in get_type_hints(struct, include_extras=True).items():
        inner, key = _section_of(kind)
        if inner is not None:
            yield from _mappings(f"{path}.{name}{key}" if path else f"{name}{key}", inner)


def _section_of(kind: Any) -> tuple[type[msgspec.Struct] | None, str]:  # noqa: ANN401
    """The section that a field holds, and the placeholder of its key where it holds one by name."""
    plain = _plain(kind)
    if isinstance(plain, type) and issubclass(plain, schema.Section):
        return plain, ""
    arguments = get_args(plain)
    if get_origin(plain) is dict and isinstance(arguments[1], type) and issubclass(arguments[1], schema.Section):
        return arguments[1], ".NAME"
    return None, ""


def _values(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of each field that is no section."""
    defaults = dict(zip(struct.__struct_fields__, struct.__struct_defaults__, strict=True))
    for name, kind in get_type_hints(struct, include_extras=True).items():
        if _section_of(kind)[0] is None:
            yield name, kind, defaults[name]


def _table(path: str, struct: type[msgspec.Struct]) -> str:
    rows = [
        (code(name), _default(default), _meaning(kind) + _remark(f"{path}.{name}"))
        for name, kind, default in _values(struct)
    ]
    head = f"### {_title(path)}\n\n{first_sentence(struct.__doc__)}\n\n"
    return head + table(("setting", "default", "meaning"), rows).rstrip()


def _title(path: str) -> str:
    """Of a section: unlike the titles of the reference's other parts."""
    return f"Settings: {path}"


def _default(default: Any) -> str:  # noqa: ANN401
    value = list(default) if isinstance(default, tuple) else default
    return code(msgspec.json.encode(value).decode().replace('","', '", "'))


def _meaning(kind: Any) -> str:  # noqa: ANN401
    notes = [note for note in getattr(kind, "__metadata__", ()) if isinstance(note, msgspec.Meta) and note.description]
    choices = get_args(_plain(kind)) if get_origin(_plain(kind)) is Literal else ()
    return str(notes[0].description) + (f" One of {', '.join(map(code, choices))}." if choices else "")


def _remark(path: str) -> str:
    if any(path == later or path.startswith(later + ".") for later in NOT_YET):
        return " *Not supported yet: only the default is taken.*"
    if any(path == name or path.startswith(name + ".") for name in RELOADABLE):
        return " *Applies at once.*"
    return ""


def _plain(kind: Any) -> Any:  # noqa: ANN401
    """A type without its annotations and without None."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in {Union, types.UnionType}:
        kept = [argument for argument in get_args(kind) if argument is not type(None)]
        return _plain(kept[0]) if len(kept) == 1 else kind
    return kind
