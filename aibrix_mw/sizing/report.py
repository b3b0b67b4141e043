"""Results for people, as text."""

from collections.abc import Callable, Iterator, Sequence

from aibrix_mw.sizing.document import Document
from aibrix_mw.sizing.measure import Measured, Tried
from aibrix_mw.sizing.sizes import ENDS as KNOWN
from aibrix_mw.sizing.sizes import Answer, Size, Want, rounded
from aibrix_mw.sizing.verdict import UNBOUNDED

GUIDE = (0.6, 0.7)
"""The shares of the measured peak that the production guide advises to plan with."""
COLUMNS: tuple[tuple[str, Callable[[Tried], str]], ...] = (
    ("requests/s", lambda tried: f"{tried.rate:.3g}"),
    ("step", lambda tried: tried.phase),
    ("first token p50", lambda tried: seconds(tried.figures.first_p50)),
    ("p95", lambda tried: _at_least(tried, tried.figures.first_p95)),
    ("per token p50", lambda tried: seconds(tried.figures.token_p50)),
    ("p95", lambda tried: _at_least(tried, tried.figures.token_p95)),
    ("in flight", lambda tried: f"{tried.figures.in_flight:.0f}"),
    ("answers/s", lambda tried: f"{tried.figures.requests_per_second:.3g}"),
    ("tokens/s", lambda tried: f"{tried.figures.tokens_per_second:.0f}"),
    ("errors", lambda tried: percent(tried)),
    ("sustainable", lambda tried: "yes" if tried.sustainable else f"no: {tried.reasons[0].kind.replace('_', ' ')}"),
)
ENDS = {
    "interrupted": "PARTIAL: interrupted before the end; what follows is what was known by then.",
    "limit": "STOPPED by a limit.",
    "generator": "REFUSED: the load generator was too slow.",
    "failed": "FAILED.",
}


def seconds(value: float | None) -> str:
    """A time in milliseconds or seconds, `-` for none."""
    if value is None:
        return "-"
    return f"{1000 * value:.1f} ms" if value < 0.0995 else f"{value:.3g} s"


def percent(tried: Tried) -> str:
    """The share of failed requests."""
    figures = tried.figures
    return f"{100 * figures.errors / figures.requests:.1f} %" if figures.requests else "-"


def _at_least(tried: Tried, value: float | None) -> str:
    return (">= " if tried.figures.cut and value is not None else "") + seconds(value)


def rows(run: Measured) -> list[list[str]]:
    """The head and one row a step, by rate."""
    head = [name for name, _ in COLUMNS]
    steps = sorted(run.tried, key=lambda tried: tried.rate)
    return [head, *([show(tried) for _, show in COLUMNS] for tried in steps)]


def as_text(document: Document) -> str:
    """The whole report."""
    lines = [f"{document.model} at {document.url}: {document.workload}"]
    for role, run in document.runs.items():
        lines += ["", *([f"[{role}]"] if len(document.runs) > 1 else []), *_run(run)]
    return "\n".join([*lines, "", *conclusion(document)])


def _run(run: Measured) -> Iterator[str]:
    if run.end in ENDS:
        yield f"{ENDS[run.end]} {run.message}".rstrip()
    yield from facts(run)
    if run.tried:
        yield ""
        yield from _aligned(rows(run))
        yield ""
    yield from findings(run)


def facts(run: Measured) -> Iterator[str]:
    """What was there before the load."""
    alone, bounds = run.unloaded, run.bounds
    yield f"alone: first token p95 {seconds(alone.first_p95)}, time per output token p95 {seconds(alone.token_p95)}"
    token = "none" if bounds.per_token == UNBOUNDED else seconds(bounds.per_token)
    yield f"bounds: first token p95 {seconds(bounds.first_token)}, time per output token p95 {token}, errors under 1 %"


def findings(run: Measured) -> Iterator[str]:
    """What came of the load."""
    found = run.estimate
    if found is None:
        yield f"sustainable: not even {run.bracket.high:.3g} requests/s" if run.bracket.high else "sustainable: unknown"
    elif run.end not in KNOWN:
        yield f"sustainable: at least {rounded(found.rate):g} requests/s; what it would be beyond is not known"
    elif found.high is None:
        yield f"sustainable: at least {rounded(found.rate):g} requests/s, the highest rate that was tried"
    else:
        sure = "confirmed" if run.bracket.confirmed else "not confirmed"
        yield (
            f"sustainable: {rounded(found.rate):g} requests/s, {sure}; "
            f"95 % confidence interval {found.low:.3g} to {found.high:.3g}"
        )
    if run.reason is not None:
        yield f"beyond it: {run.reason.text}"
    if run.tried:
        late = max(tried.punctuality.late_p95 for tried in run.tried)
        cpu = max(tried.punctuality.cpu for tried in run.tried)
        yield f"load generator: at most {1000 * late:.1f} ms late (p95), {100 * cpu:.0f} % of a core"


def conclusion(document: Document) -> Iterator[str]:
    """The formula with its numbers."""
    found = document.answer
    if found is None:
        yield "replicas: no answer, since what a replica sustains is not known"
        return
    for role, size in found.sizes.items():
        yield formula(role, size, found.want)
    low, high = GUIDE
    if not low <= found.want.margin <= high:
        yield f"(the production guide advises a margin of {low:g} to {high:g})"
    yield from _cost(found)


def formula(role: str, size: Size, want: Want) -> str:
    """One line: name, formula, numbers, answer."""
    name = "replicas" if role == "replica" else f"{role} replicas"
    quotient = want.target_rps / size.per_replica
    return (
        f"{name} = ceil(target / (sustainable x margin)) = ceil({want.target_rps:g} / "
        f"({size.sustainable:g} x {want.margin:g})) = ceil({quotient:.3g}) = {size.replicas}"
    )


def _cost(found: Answer) -> Iterator[str]:
    if found.cost is not None:
        yield (
            f"cost: {found.cost.hour:.2f} an hour; at {found.want.target_rps:g} requests/s "
            f"{found.cost.million_output:.2f} per million output tokens, "
            f"{found.cost.million_all:.2f} per million tokens of prompt and output"
        )


def values(found: Answer) -> str:
    """The lines for a model in the chart's values."""
    if list(found.sizes) == ["replica"]:
        return "\n".join(_values(found, "replica", ""))
    lines = ["disaggregation:"]
    for role in found.sizes:
        lines += [f"  {role}:", *_values(found, role, "    ")]
    return "\n".join(lines)


def _values(found: Answer, role: str, indent: str) -> list[str]:
    numbers = {
        "targetRps": found.want.target_rps,
        "sustainableRpsPerReplica": found.sizes[role].sustainable,
        "margin": found.want.margin,
    }
    return [f"{indent}sizing:", *(f"{indent}  {key}: {value:.10g}" for key, value in numbers.items())]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)) + f"  {row[-1]}"
        for row in cells
    ]
