"""YAML text -> values, and for each dotted path the line that it stands on.

PyYAML by itself keeps the last of two equal keys and forgets where values came from; an operator needs both told.
"""

import re
from typing import Any

import msgspec
import yaml

from aibrix_mw.errors import Fault

_MERGE = "tag:yaml.org,2002:merge"
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_HALF = re.compile(r"[\ud800-\udfff]")
_SHORT = 4  # characters of a quotation that still tell nothing: two quotes and ',' or \\t


class _NoText(ValueError):
    """A scalar holds what is no text."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which reads 1e-06 as the number that Helm means by it; PyYAML alone makes a string of it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class Document(msgspec.Struct):
    """The values of a YAML document, the line of each dotted path, and what is wrong with the text."""

    data: object = None
    lines: dict[str, int] = {}
    faults: list[Fault] = []


def join(path: str, key: object) -> str:
    """Return the dotted path of `key` within `path`."""
    return f"{path}.{key}" if path else str(key)


def read_document(text: str | bytes, name: str) -> Document:
    """Read one YAML document; faults of the text as a whole have `name` as their path."""
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return _read(decoded)
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text (byte {error.start})"
    except yaml.reader.ReaderError as error:
        reason = f"not valid YAML: control character ({_place(decoded, error.position)})"
    except yaml.MarkedYAMLError as error:
        reason = f"not valid YAML: {_problem(error)}"
    except _NoText as error:
        reason = str(error)
    except RecursionError:
        reason = "nested too deeply"
    except (ValueError, AttributeError):  # a value that contradicts its own tag: `!!int x`, `!!timestamp x`
        reason = "not valid YAML: a value does not fit its tag"
    return Document(faults=[Fault(name, reason)])


def _read(text: str) -> Document:
    document = Document()
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _survey(node, "", document, set())
            document.data = loader.construct_document(node)
    finally:
        loader.dispose()
    return document


def _survey(node: yaml.Node, path: str, document: Document, seen: set[int]) -> None:
    """Note the line of each key below `node`, and each key that its mapping already has."""
    if id(node) in seen:  # an anchor: told once is enough, and it may contain itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _survey(item, f"{path}[{index}]", document, seen)
    elif isinstance(node, yaml.MappingNode):
        _survey_mapping(node, path, document, seen)
    else:
        _check_text(node)


def _check_text(node: yaml.Node) -> None:
    """PyYAML, unlike its C loader, takes half a character for one; nothing that is made of it could be written."""
    if _HALF.search(node.value):
        raise _NoText(f"not valid YAML: an escape is no character (line {node.start_mark.line + 1})")


def _survey_mapping(node: yaml.MappingNode, path: str, document: Document, seen: set[int]) -> None:
    first: dict[Any, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        _check_text(key)
        line = key.start_mark.line + 1
        here = join(path, key.value)
        if key.value in first:
            document.faults.append(Fault(here, f"the key is given twice (lines {first[key.value]} and {line})"))
        first.setdefault(key.value, line)
        document.lines.setdefault(here, line)
        _survey(value, here, document, seen)


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = _QUOTED.sub(_redacted, ", ".join(filter(None, (error.context, error.problem))))
    mark = error.problem_mark or error.context_mark
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem


def _redacted(quotation: re.Match[str]) -> str:
    """Keep what PyYAML quotes of its own, '<stream end>' or ',', but no alias or tag: these are an operator's text."""
    quoted = quotation[0]
    return quoted if len(quoted) <= _SHORT or quoted.startswith("'<") else "'...'"


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - (text.rfind(chr(10), 0, position) + 1) + 1}"
