"""Choices between pods that are equally good."""

from collections.abc import Sequence
from random import Random

from aibrix_mw.pods.pod import Pod


def any_of(pods: Sequence[Pod], rng: Random) -> Pod:
    """One of equally good pods, uniformly at random."""
    return pods[0] if len(pods) == 1 else pods[int(rng.random() * len(pods))]


def least_in_flight(pods: Sequence[Pod], rng: Random) -> Pod:
    """The pod with the fewest requests in flight; ties uniformly at random."""
    chosen = pods[int(rng.random() * len(pods))]
    least = chosen.in_flight
    for pod in pods:
        if pod.in_flight < least:
            least = pod.in_flight
    if chosen.in_flight == least:  # as likely for each of the best, and often so
        return chosen
    return any_of([pod for pod in pods if pod.in_flight == least], rng)
