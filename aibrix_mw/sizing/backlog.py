"""Does the number of requests in flight grow? If so the rate cannot last, however short the answers are so far."""

from bisect import bisect_right
from math import inf, sqrt

import msgspec

from aibrix_mw.sizing.records import Step

BLOCKS = 10
SIGNIFICANT = 2.9
"""Student's t for 8 degrees of freedom, one-sided 1 %."""
MATERIAL = 0.05
"""Growth counts when it keeps at least this share of what arrives."""


class Trend(msgspec.Struct, frozen=True):
    """Requests in flight over the measured part: mean, growth from begin to end, and t of the slope."""

    mean: float
    growth: float
    t: float
    grows: bool


def trend(step: Step) -> Trend:
    """Least squares through the means of ten equal blocks.

    Besides being significant the growth has to matter: more than 5 % of the arrivals, and more than three times what
    chance does. When nothing queues the number in flight is about Poisson and forgets itself within the time that an
    answer takes (mean / rate, Little's law), which gives the growth a standard deviation of
    sqrt(12 mean x answer / seconds).
    """
    end = min(step.plan.warm_up + step.plan.measured, step.seconds)
    seconds = end - step.plan.warm_up
    if seconds <= 0 or not step.plan.rate:
        return Trend(0.0, 0.0, 0.0, grows=False)
    means = _block_means(step, seconds)
    mean = sum(means) / BLOCKS
    slope, t = _slope(means)
    growth = slope * BLOCKS
    chance = sqrt(mean + 1) * max(sqrt(12 * mean / step.plan.rate / seconds), 1.0)
    material = growth > max(MATERIAL * step.plan.rate * seconds, 3 * chance)
    return Trend(mean, growth, t, grows=material and t > SIGNIFICANT)


def _block_means(step: Step, seconds: float) -> list[float]:
    sent = sorted(record.sent for record in step.records)
    ended = sorted(record.ended for record in step.records)
    samples = 8 * BLOCKS
    at = [step.plan.warm_up + (number + 0.5) * seconds / samples for number in range(samples)]
    counts = [bisect_right(sent, instant) - bisect_right(ended, instant) for instant in at]
    return [sum(counts[first : first + 8]) / 8 for first in range(0, samples, 8)]


def _slope(means: list[float]) -> tuple[float, float]:
    """Slope per block and its t."""
    middle, mean = (BLOCKS - 1) / 2, sum(means) / BLOCKS
    spread = sum((number - middle) ** 2 for number in range(BLOCKS))
    slope = sum((number - middle) * (value - mean) for number, value in enumerate(means)) / spread
    rest = sum((value - mean - slope * (number - middle)) ** 2 for number, value in enumerate(means))
    error = sqrt(rest / (BLOCKS - 2) / spread)
    return slope, slope / error if error else (inf if slope > 0 else 0.0)
