"""Results as a page of its own: the numbers, and plots as SVG. Needs matplotlib."""

from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.sizing import report
from aibrix_mw.sizing.document import Document
from aibrix_mw.sizing.measure import Measured, Tried
from aibrix_mw.sizing.sizes import rounded
from aibrix_mw.sizing.verdict import UNBOUNDED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:13px}"
    "td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "td:last-child,th:last-child{text-align:left}svg{max-width:100%;height:auto}"
    "div p:first-child{font-size:19px;font-weight:bold}.end{color:#a00}"
)
_KNEE, _BOUND = "#2a7", "#c33"


def check(path: Path) -> None:
    """Refuse what cannot be drawn or written, before anything is measured."""
    if find_spec("matplotlib") is None:
        raise ConfigurationError([Fault(str(path), "needs matplotlib: pip install 'aibrix-mw[simulate]'")])
    if not path.absolute().parent.is_dir():
        raise ConfigurationError([Fault(str(path), "its folder is not there")])


def write(path: Path, document: Document) -> None:
    """Write the page; ConfigurationError when that is impossible."""
    check(path)
    try:
        path.write_text(page(document))
    except OSError as error:
        raise ConfigurationError([Fault(str(path), error.strerror or str(error))]) from error


def page(document: Document) -> str:
    """The page: nothing in it is fetched from anywhere."""
    title = f"Replica sizing: {document.model}"
    about = f"<p>{escape(document.url)}: {escape(document.workload)}</p>"
    answer = "".join(f"<p>{escape(line)}</p>" for line in report.conclusion(document))
    runs = "".join(_run(role, run) for role, run in document.runs.items())
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{about}\n<div>{answer}</div>\n{runs}\n</html>\n"
    )


def _run(role: str, run: Measured) -> str:
    end = f'<p class="end">{escape(report.ENDS[run.end])} {escape(run.message)}</p>' if run.end in report.ENDS else ""
    said = "".join(f"<p>{escape(line)}</p>" for line in (*report.findings(run), *report.facts(run)))
    drawing = _svg(run) if run.tried else ""
    return f"<h2>One {escape(role)}</h2>\n{end}{said}\n{drawing}\n{_table(report.rows(run))}\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _svg(run: Measured) -> str:
    picture = StringIO()
    draw(run).savefig(picture, format="svg")
    text = picture.getvalue()
    return text[text.index("<svg") :]


def draw(run: Measured) -> "Figure":
    """Rate against times, throughput and errors, the knee marked."""
    from matplotlib.figure import Figure  # without pyplot there is no window and no state between two plots

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    first, token, throughput, errors = figure.subplots(2, 2).flat
    latest = {tried.rate: tried for tried in run.tried}  # a confirmation has the figures of both steps
    steps = sorted(latest.values(), key=lambda tried: tried.rate)
    figures = [tried.figures for tried in steps]
    _times(first, "time to the first token, s", steps, [(one.first_p50, one.first_p95) for one in figures])
    _bound(first, run.bounds.first_token)
    _times(token, "time per output token, s", steps, [(one.token_p50, one.token_p95) for one in figures])
    _bound(token, run.bounds.per_token)
    rates = [tried.rate for tried in steps]
    throughput.plot(rates, [one.requests_per_second for one in figures], marker="o", label="answers/s")
    throughput.plot(rates, rates, color="#999", linewidth=0.8, linestyle=":", label="as many as asked")
    throughput.set_title("throughput, answers/s", fontsize="medium")
    errors.plot(
        rates, [100 * one.errors / max(one.requests, 1) for one in figures], marker="o", label="failed requests"
    )
    errors.axhline(1, color=_BOUND, linestyle="--", linewidth=1, label="bound")
    errors.set_title("errors, %", fontsize="medium")
    for axes in (first, token, throughput, errors):
        _finish(axes, run)
    return figure


def _times(axes: "Axes", name: str, steps: Sequence[Tried], times: Sequence[tuple[float | None, float | None]]) -> None:
    for index, label in enumerate(("p50", "p95")):
        known = [
            (tried.rate, value) for tried, pair in zip(steps, times, strict=True) if (value := pair[index]) is not None
        ]
        axes.plot([rate for rate, _ in known], [value for _, value in known], marker="o", label=label)
    axes.set_title(name, fontsize="medium")


def _bound(axes: "Axes", bound: float) -> None:
    if bound < UNBOUNDED:
        axes.axhline(bound, color=_BOUND, linestyle="--", linewidth=1, label="bound of the p95")


def _finish(axes: "Axes", run: Measured) -> None:
    found = run.estimate
    if found is not None:
        axes.axvline(found.rate, color=_KNEE, linewidth=1.5, label=f"knee {rounded(found.rate):g}/s")
        axes.axvspan(found.low, found.rate if found.high is None else found.high, color=_KNEE, alpha=0.15)
    axes.set_xlabel("requests/s")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
