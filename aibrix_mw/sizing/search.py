"""Which rates to try: doubling, bisection, confirmation."""

from collections.abc import Generator
from math import sqrt

import msgspec

PRECISION = 1.1
"""Ratio of the bracket's ends: its geometric middle is then within 5 % of both."""
DOUBLE, BISECT, CONFIRM = "double", "bisect", "confirm"
_DOWN = 6
"""How often the first rate is halved before there is none that is sustained."""
_REVISIONS = 8
"""How often a confirmation may move the bracket down before there is no rate that is sustained."""
_ROUNDS = 3
"""How often it may move up, and everything from bisection on begins again."""


class Probe(msgspec.Struct, frozen=True):
    """A rate to try in requests a second, and what for; `confirm` asks for a verdict over all full steps there."""

    rate: float
    phase: str


class Bracket(msgspec.Struct, frozen=True):
    """The highest rate found sustainable and the lowest above it that is not; None where there is none."""

    low: float | None
    high: float | None
    confirmed: bool = False


Search = Generator[Probe, bool, Bracket]


def search(start: float, most: float | None = None) -> Search:
    """Yields probes and wants to be sent whether each was sustainable; returns the bracket.

    `most` is the highest rate that may be tried.
    """
    bracket = yield from _enclose(start, most)
    if bracket.low is not None and bracket.high is None:  # the highest rate that may be tried
        if (yield Probe(bracket.low, CONFIRM)):
            return Bracket(bracket.low, None, confirmed=True)
        bracket = Bracket(bracket.low / 2, bracket.low)
    for _ in range(_ROUNDS):
        if bracket.low is None or bracket.high is None:
            return bracket
        low, high = yield from _narrow(bracket.low, bracket.high)
        bracket = yield from _confirm(low, high)
        if bracket.confirmed or bracket.low is None:
            return bracket
        bracket = yield from _widen(high, high / low, most)
    return bracket


def _enclose(start: float, most: float | None) -> Search:
    """Double until a rate is not sustained; when the first is not, halve until one is."""
    rate = start if most is None else min(start, most)
    if not (yield Probe(rate, DOUBLE)):
        for _ in range(_DOWN):
            rate /= 2
            if (yield Probe(rate, DOUBLE)):
                return Bracket(rate, 2 * rate)
        return Bracket(None, rate)
    while most is None or rate < most:
        low, rate = rate, 2 * rate if most is None else min(2 * rate, most)
        if not (yield Probe(rate, DOUBLE)):
            return Bracket(low, rate)
    return Bracket(rate, None)


def _narrow(low: float, high: float) -> Generator[Probe, bool, tuple[float, float]]:
    while high / low > PRECISION:
        middle = sqrt(low * high)
        if (yield Probe(middle, BISECT)):
            low = middle
        else:
            high = middle
    return low, high


def _confirm(low: float, high: float) -> Search:
    """Try both ends once more. A lower end that fails moves down; when the upper one passes, nothing is confirmed."""
    width, first = high / low, low
    for _ in range(_REVISIONS):
        if (yield Probe(low, CONFIRM)):
            break
        low, high = low / width, low
    else:
        return Bracket(None, high)
    if low < first:  # the upper end is where the lower one was, and has just failed
        return Bracket(low, high, confirmed=True)
    return Bracket(low, high, confirmed=not (yield Probe(high, CONFIRM)))


def _widen(low: float, factor: float, most: float | None) -> Search:
    """From a rate that is sustainable after all, up in growing strides to one that is not."""
    while most is None or low < most:
        high = low * factor if most is None else min(low * factor, most)
        if not (yield Probe(high, BISECT)):
            return Bracket(low, high)
        low, factor = high, min(factor * factor, 2.0)
    return Bracket(low, None)
