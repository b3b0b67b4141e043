"""From a sustainable rate to a number of replicas, and what they cost: arithmetic."""

from collections.abc import Mapping
from math import ceil, floor, log10

import msgspec

from aibrix_mw.sizing.measure import Measured

ENDS = ("complete", "interrupted")
_SLACK = 1e-9
"""Keeps a quotient that is a whole number from being rounded up by the last bit."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """What the replicas are for: requests a second, the share of a replica's rate to plan with, and its price.

    `gpu_cost` is that of one GPU for an hour, `gpus` how many a replica has.
    """

    target_rps: float
    margin: float = 0.65
    gpu_cost: float | None = None
    gpus: int = 1


class Size(msgspec.Struct, frozen=True):
    """Replicas of one role, and the numbers that they come from (requests a second)."""

    sustainable: float
    per_replica: float
    replicas: int


class Cost(msgspec.Struct, frozen=True):
    """In the currency of `gpu_cost`: an hour of all replicas, and a million tokens at the target rate."""

    hour: float
    million_output: float
    million_all: float


class Answer(msgspec.Struct, frozen=True):
    """The sizes by role, for what, and the cost if a price was given."""

    want: Want
    sizes: dict[str, Size]
    cost: Cost | None = None


def rounded(rate: float) -> float:
    """Three significant digits, downwards: the number that people copy is the one that the replicas come from."""
    unit = 10.0 ** (floor(log10(rate)) - 2)
    return float(f"{floor(rate / unit + _SLACK) * unit:.12g}")


def size(rate: float, want: Want) -> Size:
    """The production guide's recipe: replicas = ceil(target / (sustainable rate per replica x margin))."""
    sustainable = rounded(rate)
    per_replica = sustainable * want.margin
    return Size(sustainable, per_replica, ceil(want.target_rps / per_replica - _SLACK))


def answer(runs: Mapping[str, Measured], want: Want) -> Answer | None:
    """The sizes of all roles; None when the rate of a role is not known. Each request passes each role once.

    A run that was interrupted answers with what it knows; one that met a limit, or the end of its load generator, does
    not: it has found something else than what the replica sustains.
    """
    rates = {role: run.estimate.rate for role, run in runs.items() if run.estimate is not None and run.end in ENDS}
    if len(rates) < len(runs):
        return None
    sizes = {role: size(rate, want) for role, rate in rates.items()}
    return Answer(want, sizes, None if want.gpu_cost is None else _cost(runs, sizes, want, want.gpu_cost))


def _cost(runs: Mapping[str, Measured], sizes: Mapping[str, Size], want: Want, price: float) -> Cost:
    hour = sum(one.replicas for one in sizes.values()) * want.gpus * price
    prompt = max(run.unloaded.prompt_tokens for run in runs.values())
    output = max(run.unloaded.output_tokens for run in runs.values())
    requests = want.target_rps * 3600
    return Cost(hour, 1e6 * hour / (requests * output), 1e6 * hour / (requests * (prompt + output)))
