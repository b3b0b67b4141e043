"""Cells that the hot path counts in, and what prometheus_client makes of them at a scrape."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from aibrix_mw.telemetry.families import Family

Labels = tuple[str, ...]


class Histogram:
    """Counts by bucket; the last one is +Inf."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as prometheus_client wants them."""
        rows, total = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else f"{bound:.10g}", float(total)))
        return rows


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


class CounterFamily(Counter[Labels]):
    """Counts by label values."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

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
