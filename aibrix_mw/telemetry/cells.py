"""Cells that the hot path counts in, and what prometheus_client makes of them at a scrape."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

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
            exported.add_metric(labels, buckets=child.buckets(), sum_value=child.sum)
        return exported


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
