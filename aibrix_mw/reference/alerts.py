"""Alerts and what to look at first; each one's `runbook_url` points to its heading here."""

import re

from aibrix_mw.dashboards.alerts import alerts
from aibrix_mw.dashboards.rules import Alert
from aibrix_mw.reference.markdown import Section

_INTRODUCTION = """
`aibrix-mw dashboards --out DIR` writes these rules for Prometheus, the chart installs them, and each one's
`runbook_url` leads here. Board *Pods*, *Queue* is the panel *Queue* of the board *Pods* that the same command writes.
"""


def section() -> Section:
    """One heading an alert; alerts of one name, which differ by their windows, share it."""
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts():
        by_name.setdefault(alert.name, []).append(alert)
    return Section("Alerts", "\n\n".join([_INTRODUCTION.strip(), *map(_runbook, by_name.values())]))


def _runbook(same: list[Alert]) -> str:
    alert = same[0]
    when = [f"{one.severity}, after {one.hold}" + (f" ({_labels(one)})" if len(same) > 1 else "") for one in same]
    checks = "\n".join(f"{number}. {check}" for number, check in enumerate(alert.first_checks, 1))
    expression = f"```promql\n{alert.expr}\n```"
    summary = _readable(alert.summary)
    return f"### {alert.name}\n\n{summary}. *{'; '.join(when)}.*\n\n{expression}\n\nFirst things to check:\n\n{checks}"


def _labels(alert: Alert) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in alert.labels.items())


def _readable(text: str) -> str:
    """A summary for readers: what a template fills in, by its name."""
    named = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*N*", named)
