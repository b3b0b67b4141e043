"""Every metric family."""

from aibrix_mw.reference.markdown import Section, code, table
from aibrix_mw.telemetry.families import FAMILIES

_INTRODUCTION = """
`/metrics` on the admin port, as Prometheus text, or as OpenMetrics with trace ids as exemplars where the scraper asks
for that. A model that nobody serves is counted as `_unknown`, a weighted list as the strategy `list`. Facts that every
replica exports want `max`, work wants `sum`. Series of a pod go with the pod; `metrics.per_pod: false` leaves them out.
"""


def section() -> Section:
    """The families by name."""
    rows = [
        (code(family.name), family.kind, ", ".join(map(code, family.labels)) or "-", family.help) for family in FAMILIES
    ]
    return Section("Metrics", f"{_INTRODUCTION.strip()}\n\n{table(('name', 'type', 'labels', 'meaning'), rows)}")
