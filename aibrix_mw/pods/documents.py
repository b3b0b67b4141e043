"""The objects in a file of Kubernetes manifests: YAML of one or several documents, or JSON."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from aibrix_mw.errors import ConfigurationError, Fault

logger = logging.getLogger("aibrix_mw")

_MAX_DEPTH = 200


class _Guard:
    """Bounds how deep a document may be: the parser recurses in C, and would take the process down with it."""

    depth = 0

    def descend_resolver(self, parent: object, index: object) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"more than {_MAX_DEPTH} levels deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _make_loader() -> type[Any]:
    """The safe loader, without the rule that makes a date of 2026-11-23T09:00:00Z: in Kubernetes it is a string."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    return type("_Loader", (_Guard, base), {"yaml_implicit_resolvers": resolvers})


_LOADER = _make_loader()


def load_documents(text: str) -> list[Any]:
    """All documents that are not empty. ConfigurationError when the text is neither JSON nor YAML."""
    if text.lstrip().startswith("{"):
        try:
            return [msgspec.json.decode(text)]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            logger.debug("not JSON, read as YAML")
    try:
        return [document for document in yaml.load_all(text, _LOADER) if document is not None]
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError([Fault("", f"not YAML: {_problem(error)}")]) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # a value that does not fit its explicit tag (!!int x) makes PyYAML raise whatever comes
        raise ConfigurationError([Fault("", f"not YAML: {str(error) or type(error).__name__}")]) from None


def _problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem or error.context}"


def pod_items(documents: list[Any], faults: list[Fault]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each pod with its path, out of documents and lists."""
    for number, document in enumerate(documents):
        path = f"document[{number}]" if len(documents) > 1 else ""
        kind = _kind(path, document, faults)
        if kind == "Pod":
            yield path, document
        elif kind in ("PodList", "List"):
            yield from _list_items(path, document, faults)


def says_none(documents: list[Any]) -> bool:
    """Whether the documents are one list without items, as kubectl prints it when there are no pods."""
    return (
        len(documents) == 1
        and isinstance(document := documents[0], Mapping)
        and (document.get("kind") in ("PodList", "List") and document.get("items") == [])
    )


def _list_items(path: str, document: Mapping[str, Any], faults: list[Fault]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = document.get("items")
    if items is not None and not isinstance(items, list):
        faults.append(under(path, Fault("items", "must be a list")))
        return
    # the API leaves out the kind inside a PodList, kubectl never does
    default = "Pod" if document["kind"] == "PodList" else None
    for number, item in enumerate(items or ()):
        where = f"{path}.items[{number}]".lstrip(".")
        if _kind(where, item, faults, default) == "Pod":
            yield where, item


def _kind(path: str, document: object, faults: list[Fault], default: str | None = None) -> str | None:
    if not isinstance(document, Mapping):
        faults.append(Fault(path, "not a Kubernetes object: kind Pod, PodList or List is expected"))
        return None
    kind = document.get("kind", default)
    if not isinstance(kind, str):
        faults.append(under(path, Fault("kind", "required: Pod, PodList or List")))
        return None
    return kind


def under(path: str, fault: Fault, separator: str = ".") -> Fault:
    """The fault, at a path inside of `path`."""
    return Fault(separator.join(part for part in (path, fault.path) if part), fault.reason)
