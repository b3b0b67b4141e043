"""Kubernetes label selectors, as in the `external-filter` header."""

import re
from collections.abc import Callable, Mapping

_TERM = re.compile(
    r"\s*(?:"
    r"(?P<absent>!)\s*(?P<absent_key>[^\s,!=()]+)"
    r"|(?P<key>[^\s,!=()]+)(?:\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,!=()]*)"
    r"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?"
    r")\s*(?:,|$)"
)
_KEY = re.compile(r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?", re.ASCII)
_VALUE = re.compile(r"(?:[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?", re.ASCII)

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]


class Selector:
    """A parsed selector: `=`, `==`, `!=`, `in (a, b)`, `notin (a, b)`, `key`, `!key`, comma = and.

    As in Kubernetes, `!=` and `notin` hold for a pod without the label. ValueError when the text is no selector.
    """

    __slots__ = ("requirements", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.requirements = tuple(_parse(text))

    def matches(self, labels: Labels) -> bool:
        """Whether every requirement holds."""
        return all(requirement(labels) for requirement in self.requirements)


def _parse(text: str) -> list[Requirement]:
    requirements = []
    at = 0
    while text.strip() and at < len(text):
        term = _TERM.match(text, at)
        if term is None or (term.end() == len(text) and text.rstrip().endswith(",")):
            raise ValueError(f"not a label selector at character {at + 1}: {text[at : at + 40]!r}")
        requirements.append(_requirement(term))
        at = term.end()
    return requirements


def _requirement(term: re.Match[str]) -> Requirement:
    key = _checked(_KEY, term["absent_key"] or term["key"], "key")
    if term["absent"]:
        return lambda labels: key not in labels
    if term["set"]:
        values = frozenset(_checked(_VALUE, value.strip(), "value") for value in term["values"].split(","))
        wanted = term["set"] == "in"
        return lambda labels: (labels.get(key) in values) == wanted
    if term["op"] is None:
        return lambda labels: key in labels
    value = _checked(_VALUE, term["value"], "value")
    equal = term["op"] != "!="
    return lambda labels: (labels.get(key) == value) == equal


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"not a label {what}: {text!r}")
    return text
