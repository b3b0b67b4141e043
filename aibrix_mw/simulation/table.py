"""Figures as a table for a terminal and for a page."""

from collections.abc import Callable, Sequence
from html import escape
from math import isnan

from aibrix_mw.simulation.compare import Result
from aibrix_mw.simulation.records import Figures


def _seconds(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


COLUMNS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("first token p50", lambda figures: _seconds(figures.first_p50)),
    ("p95", lambda figures: _seconds(figures.first_p95)),
    ("p99", lambda figures: _seconds(figures.first_p99)),
    ("complete p50", lambda figures: _seconds(figures.whole_p50)),
    ("p95", lambda figures: _seconds(figures.whole_p95)),
    ("per token p50", lambda figures: _seconds(figures.token_p50)),
    ("p99", lambda figures: _seconds(figures.token_p99)),
    ("cache hits", lambda figures: _percent(figures.cache_hits)),
    ("skew p99", lambda figures: _ratio(figures.skew)),
    ("fairness", lambda figures: _ratio(figures.fairness)),
    ("others p95", lambda figures: _seconds(figures.others)),
)
LEGEND = (
    "Times in seconds; per token: after the first one. Skew: busiest engine / mean, where the mean is 4 requests or "
    "more. Fairness: Jain's index over users' mean first-token times. Others: first token of all users but the one "
    "with the most tokens."
)


def rows(results: Sequence[Result]) -> list[list[str]]:
    """The head and one row a strategy."""
    head = ["strategy", *(name for name, _ in COLUMNS)]
    return [head, *([result.strategy, *(show(result.figures) for _, show in COLUMNS)] for result in results)]


def as_text(results: Sequence[Result]) -> str:
    """Aligned columns and the legend."""
    cells = rows(results)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
    return "\n".join([*lines, "", LEGEND])


def as_html(results: Sequence[Result]) -> str:
    """A `table` element and the legend."""
    head, *body = rows(results)
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "<table>\n" + "\n".join(lines) + f"\n</table>\n<p>{escape(LEGEND)}</p>"
