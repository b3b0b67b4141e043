"""Figures as a picture: PNG or SVG, or a page of its own with picture and table. Needs matplotlib."""

from collections.abc import Callable, Sequence
from html import escape
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.simulation.compare import Result
from aibrix_mw.simulation.records import Figures
from aibrix_mw.simulation.table import as_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".html")

Bars = tuple[tuple[str, Callable[[Figures], float]], ...]
PANELS: tuple[tuple[str, Bars], ...] = (
    (
        "first token, seconds",
        (("p50", lambda f: f.first_p50), ("p95", lambda f: f.first_p95), ("p99", lambda f: f.first_p99)),
    ),
    ("complete answer, seconds", (("p50", lambda f: f.whole_p50), ("p95", lambda f: f.whole_p95))),
    ("prompt tokens from the cache, %", (("", lambda f: 100 * f.cache_hits),)),
    ("per output token, seconds", (("p50", lambda f: f.token_p50), ("p99", lambda f: f.token_p99))),
    ("busiest engine / mean, p99", (("", lambda f: f.skew or 0.0),)),
)


def check(path: Path) -> None:
    """Refuse what cannot be plotted, before anything is simulated."""
    if path.suffix not in SUFFIXES:
        raise ConfigurationError([Fault(str(path), f"ends in none of {', '.join(SUFFIXES)}")])
    if find_spec("matplotlib") is None:
        raise ConfigurationError([Fault(str(path), "needs matplotlib: pip install 'aibrix-mw[simulate]'")])


def write(path: Path, title: str, results: Sequence[Result]) -> None:
    """Write the plot in the format of the file's suffix; ConfigurationError when that is impossible."""
    check(path)
    try:
        if path.suffix == ".html":
            path.write_text(_page(title, results))
        else:
            _draw(title, results).savefig(path, dpi=120)
    except OSError as error:
        raise ConfigurationError([Fault(str(path), error.strerror or str(error))]) from error


def _page(title: str, results: Sequence[Result]) -> str:
    picture = StringIO()
    _draw(title, results).savefig(picture, format="svg")
    svg = picture.getvalue()
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        "<style>body{font:15px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}</style>\n"
        f"<h1>{escape(title)}</h1>\n{as_html(results)}\n{svg[svg.index('<svg') :]}</html>\n"
    )


def _draw(title: str, results: Sequence[Result]) -> "Figure":
    from matplotlib.figure import Figure  # without pyplot there is no window and no state between two plots

    figure = Figure(figsize=(14, 2.2 + 0.45 * len(results) * 2), layout="constrained")
    figure.suptitle(title)
    panels = list(figure.subplots(2, 3, sharey=True).flat)
    panels.pop().set_visible(False)
    for axes, (name, bars) in zip(panels, PANELS, strict=True):
        _panel(axes, name, bars, results)
    return figure


def _panel(axes: "Axes", name: str, bars: Bars, results: Sequence[Result]) -> None:
    height = 0.8 / len(bars)
    for index, (label, value) in enumerate(bars):
        places = [row + (index - (len(bars) - 1) / 2) * height for row in range(len(results))]
        axes.barh(places, [value(result.figures) for result in results], height, label=label)
    axes.set_title(name, fontsize="medium")
    axes.set_yticks(range(len(results)), [result.strategy for result in results])
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    if len(bars) > 1:
        axes.legend(fontsize="small")
