"""Choices between pods that are equally good."""

from collections.abc import Sequence
from operator import attrgetter
from random import Random

from aibrix_mw.pods.pod import Pod

_in_flight = attrgetter("in_flight")


def any_of(pods: Sequence[Pod], rng: Random) -> Pod:
    """One of equally good pods, uniformly at random."""
    return pods[0] if len(pods) == 1 else pods[int(rng.random() * len(pods))]


def least_in_flight(pods: Sequence[Pod], rng: Random) -> Pod:
    """The pod with the fewest requests in flight; ties uniformly at random."""
    counts = list(map(_in_flight, pods))
    least = min(counts)
    at = int(rng.random() * len(counts))
    if counts[at] == least:  # as likely for each of the best, and often so
        return pods[at]
    return any_of([pod for pod, count in zip(pods, counts, strict=True) if count == least], rng)
