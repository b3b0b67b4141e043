"""What the experiments share: tables with promises under them."""

from collections.abc import Sequence

import msgspec

from aibrix_mw.simulation.compare import Result
from aibrix_mw.simulation.records import Figures


class Promise(msgspec.Struct, frozen=True):
    """A sentence, the figure that decides it, and whether it holds; one that is not `held` to is only told."""

    text: str
    seen: str
    kept: bool
    held: bool = True


class Report(msgspec.Struct, frozen=True):
    """What an experiment has seen: a title, a table that is ready to print, and promises."""

    title: str
    table: str
    promises: Sequence[Promise]


def at_most(text: str, seen: float, bound: float, *, held: bool = True) -> Promise:
    """The figure is at most the bound."""
    return Promise(text, f"{seen:.3f}, at most {bound:.3f}", seen <= bound, held)


def at_least(text: str, seen: float, bound: float) -> Promise:
    """The figure is at least the bound."""
    return Promise(text, f"{seen:.3f}, at least {bound:.3f}", seen >= bound)


def by_name(results: Sequence[Result]) -> dict[str, Figures]:
    """The figures by strategy."""
    return {result.strategy: result.figures for result in results}


def against_peers(figures: dict[str, Figures]) -> list[Promise]:
    """`prefix-cache` is as good as the peers on p95 first-token time, or it is said by how much it is not."""
    ours = figures["prefix-cache"].first_p95
    return [
        at_most(f"prefix-cache, first token p95 against {peer}", ours, figures[peer].first_p95, held=False)
        for peer in ("cache-aware", "kv-cost")
    ]


def lines(promises: Sequence[Promise]) -> list[str]:
    """One line a promise."""
    return [f"{'kept' if p.kept else 'BROKEN' if p.held else 'not so'}: {p.text}: {p.seen}" for p in promises]
