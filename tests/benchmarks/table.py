"""Put the rounds of a scenario together and print them as a table, with ratios to Envoy and to ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from .load import Result
from .systems import REFERENCE, SUBJECT

_HEADER: Final = (
    "system", "CPU µs/req", "(min-max)", "user", "kernel", "x envoy", "x ours", "req/s", "p50 ms", "p99 ms", "RSS MiB",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """The median of several rounds of one system: CPU in microseconds per request, latencies in seconds."""

    name: str
    cpu_us: float
    low_us: float
    high_us: float
    user_us: float
    kernel_us: float
    rate: float
    p50: float
    p99: float
    rss_bytes: int


def row(name: str, rounds: Sequence[Result]) -> Row:
    """Put the rounds of one system together: medians, memory as of the last round."""
    cpu = [result.cpu_us for result in rounds]
    return Row(
        name=name,
        cpu_us=median(cpu),
        low_us=min(cpu),
        high_us=max(cpu),
        user_us=median(result.user * 1e6 / result.requests for result in rounds),
        kernel_us=median(result.system * 1e6 / result.requests for result in rounds),
        rate=median(result.rate for result in rounds),
        p50=median(result.p50 for result in rounds),
        p99=median(result.p99 for result in rounds),
        rss_bytes=rounds[-1].rss_bytes,
    )


def ratio(rows: Mapping[str, Row], name: str, to: str) -> float | None:
    """Give how many times the CPU of `to` a request costs with `name`; None when one of them did not run."""
    return rows[name].cpu_us / rows[to].cpu_us if name in rows and to in rows else None


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cells(one: Row, rows: Mapping[str, Row]) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.cpu_us:.1f}",
        f"{one.low_us:.0f}-{one.high_us:.0f}",
        f"{one.user_us:.1f}",
        f"{one.kernel_us:.1f}",
        _times(ratio(rows, one.name, REFERENCE)),
        _times(ratio(rows, one.name, SUBJECT)),
        f"{one.rate:,.0f}",
        f"{one.p50 * 1e3:.2f}",
        f"{one.p99 * 1e3:.2f}",
        f"{one.rss_bytes / 2**20:.0f}",
    )


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Put cells into columns: the first one to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *rest = widths
    return "\n".join(
        "  ".join([line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], rest, strict=True))])
        for line in lines
    )


def table(title: str, rows: Mapping[str, Row]) -> str:
    """Give the table of one scenario."""
    return f"{title}\n{aligned([_HEADER, *(_cells(one, rows) for one in rows.values())])}\n"
