"""Rules of Prometheus, and the file that they make."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import yaml

REFERENCE = "aibrix_mw/REFERENCE.md"

_HEADER = "# Made by `aibrix-mw dashboards`; change the definitions in aibrix_mw/dashboards/, not this file.\n"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An expression that is kept under a name."""

    name: str
    expr: str

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expr}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something to act on, once it has held for `hold`. `first_checks` are sentences for the reference."""

    name: str
    expr: str
    hold: str
    severity: Literal["critical", "warning"]
    summary: str
    description: str
    first_checks: tuple[str, ...]
    labels: dict[str, str] = {}

    @property
    def anchor(self) -> str:
        """Of its heading in the reference."""
        return self.name.lower()

    def rule(self, reference: str) -> dict[str, Any]:
        """As Prometheus reads it; `reference` is where the reference is to be found."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity} | self.labels,
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{reference}#{self.anchor}",
            },
        }


class _Dumper(yaml.SafeDumper):
    """Expressions of several lines stay readable."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rules_file(records: Iterable[Record], alerts: Iterable[Alert], reference: str = REFERENCE) -> str:
    """The text of a rule file."""
    groups = [
        {"name": "aibrix-mw-records", "rules": [record.rule() for record in records]},
        {"name": "aibrix-mw-alerts", "rules": [alert.rule(reference) for alert in alerts]},
    ]
    return _HEADER + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
