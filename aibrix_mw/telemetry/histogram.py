"""The cell of a histogram: by itself, so that it can be compiled."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts by bucket; the last one is +Inf. `exemplars` by bucket: trace id, value, seconds since the epoch."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, tuple[str, float, float]] = {}

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def exemplify(self, value: float, trace_id: str, now: float) -> None:
        """Name the trace of a value that was counted; a bucket keeps the last one."""
        self.exemplars[bisect_left(self.bounds, value)] = (trace_id, value, now)

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as prometheus_client wants them."""
        rows = []
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else f"{bound:.10g}", float(total)))
        return rows
