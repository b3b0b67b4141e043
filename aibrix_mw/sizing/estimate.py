"""The sustainable rate between the ends of the bracket, and how sure it is."""

from collections.abc import Sequence
from math import inf, sqrt

import msgspec

from aibrix_mw.sizing.search import Bracket
from aibrix_mw.sizing.verdict import MOST_LATE, Verdict

BLOCKS = 4
"""Stretches of a step whose shares of late requests are compared."""
FEW = 40
"""With fewer requests a step proves nothing about 5 % of them."""
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Student's t, two-sided 95 %, for 1, 2, ... degrees of freedom; 2.13 stands for more."""
_STEEPEST = 0.3
"""A share of late requests above this says only that the knee is passed: steps are stopped there."""
_NEAREST = 1.07
_FARTHEST = 1.2
"""So far beyond its end, in both directions, a confirmed bracket is not wrong."""


class Estimate(msgspec.Struct, frozen=True):
    """Requests a second, and the ends of the 95 % confidence interval; `high` is None where nothing bounds it."""

    rate: float
    low: float
    high: float | None


def estimate(bracket: Bracket, verdicts: Sequence[Verdict]) -> Estimate | None:
    """The rate at which a p95 meets its bound; None when no rate was sustainable.

    `verdicts`: one a rate, of full steps where there are any. The share of late requests is
    taken as a straight line between the ends; the real curve is convex, so that this errs on the safe side. Where
    something else than a p95 speaks against the upper end, the rate is the lower end.

    The interval reaches to the nearest rates on either side on which the verdict is clear: the confidence interval of
    the share, from its spread over quarters of the steps since requests that wait together are late together, leaves
    out 5 %. It ends at most a fifth beyond the bracket, and 7 % beyond the rate at least: twice what chance does to
    the outcome of a search, as seen over a thousand searches of queues with known capacity (tests/sizing).
    """
    low, high = bracket.low, bracket.high
    if low is None:
        return None
    if high is None:
        return Estimate(low, min(max(_clear_low(low, verdicts), low / _FARTHEST), low / _NEAREST), None)
    by_rate = {verdict.rate: verdict for verdict in verdicts}
    rate = _crossing(by_rate[low], by_rate[high]) if low in by_rate and high in by_rate else low
    bottom, top = max(_clear_low(low, verdicts), low / _FARTHEST), min(_clear_high(high, verdicts), high * _FARTHEST)
    return Estimate(rate, min(bottom, rate / _NEAREST), max(top, rate * _NEAREST))


def _crossing(low: Verdict, high: Verdict) -> float:
    below, above = low.figures.late, min(high.figures.late, _STEEPEST)
    if above <= MOST_LATE:
        return low.rate
    return low.rate + (high.rate - low.rate) * (MOST_LATE - below) / (above - below)


def _clear_low(low: float, verdicts: Sequence[Verdict]) -> float:
    below = [one for one in verdicts if one.rate <= low and one.sustainable]
    return max((one.rate for one in below if share_interval(one)[1] <= MOST_LATE), default=0.0)


def _clear_high(high: float, verdicts: Sequence[Verdict]) -> float:
    clear = [one.rate for one in verdicts if one.rate >= high and not one.sustainable and _clearly_not(one)]
    return min(clear, default=inf)


def _clearly_not(verdict: Verdict) -> bool:
    by_time = verdict.reasons[0].kind in ("first_token", "per_token")
    return not by_time or verdict.figures.late >= _STEEPEST or share_interval(verdict)[0] > MOST_LATE


def share_interval(verdict: Verdict) -> tuple[float, float]:
    """The 95 % confidence interval of the share of late requests; (0, 1) with too few requests."""
    shares = [share for late in verdict.late if len(late) >= FEW for share in _block_shares(late)]
    if not shares:
        return 0.0, 1.0
    mean = sum(shares) / len(shares)
    variance = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1) / len(shares)
    half = STUDENT[min(len(shares) - 1, len(STUDENT)) - 1] * sqrt(variance)
    return mean - half, mean + half


def _block_shares(late: Sequence[bool]) -> list[float]:
    size = len(late) / BLOCKS
    blocks = [late[int(number * size) : int((number + 1) * size)] for number in range(BLOCKS)]
    return [sum(block) / len(block) for block in blocks]
