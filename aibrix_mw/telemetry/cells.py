"""Cells that the hot path counts in, and what prometheus_client makes of them at a scrape."""

from collections.abc import Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily, Metric

from aibrix_mw.telemetry.families import Family
from aibrix_mw.telemetry.histogram import Histogram

Labels = tuple[str, ...]


class HistogramFamily(dict[Labels, Histogram]):
    """Histograms by label values; a child is made at the first look-up."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def __missing__(self, labels: Labels) -> Histogram:
        child = self[labels] = Histogram(self.family.buckets)
        return child

    def collect(self) -> Metric:
        """The family as prometheus_client exports it."""
        exported = HistogramMetricFamily(self.family.name, self.family.help, labels=self.family.labels)
        for labels, child in self.items():
            exported.add_metric(labels, buckets=_with_exemplars(child), sum_value=child.sum)
        return exported


def _with_exemplars(child: Histogram) -> list[Any]:
    """Its buckets, with the trace of which a value was counted where one is known."""
    rows: list[Any] = [*child.buckets()]
    for at, (trace_id, value, when) in child.exemplars.items():
        rows[at] = (*rows[at], Exemplar({"trace_id": trace_id}, value, when))
    return rows


class CounterFamily(dict[Labels, float]):
    """Counts by label values; those that nobody has counted are 0."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def __missing__(self, labels: Labels) -> int:
        return 0

    def collect(self) -> Metric:
        """The family as prometheus_client exports it."""
        return counter(self.family, self.items())


def counter(family: Family, values: Iterable[tuple[Labels, float]]) -> Metric:
    """A counter of these values by labels."""
    exported = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values:
        exported.add_metric(labels, value)
    return exported


def gauge(family: Family, values: Iterable[tuple[Labels, float]]) -> Metric:
    """A gauge of these values by labels."""
    exported = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values:
        exported.add_metric(labels, value)
    return exported
