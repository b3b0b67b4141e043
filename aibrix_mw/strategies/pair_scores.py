"""Scores by which `pd` compares prefill pods, decode pods and pairs; the lowest is best."""

from collections.abc import Sequence
from math import inf, isfinite, sqrt
from random import Random

from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.base import any_of
from aibrix_mw.strategies.formation import Group

DECODE_SPREAD = 16
"""Difference of in_flight between decode pods from which on the least decides."""
LEAST_FREE = 0.01
"""Share of the KV cache that counts as free where all of it is in use."""
_ROUNDING = 1e-9

Scores = dict[Pod, float]


class DecodeScores:
    """Scores of decode pods; `known` is false where engines do not tell what they are based on."""

    def __init__(self, scores: Scores, *, known: bool = True) -> None:
        self.scores = scores
        self.known = known


def prefill_scores(pods: Sequence[Pod], shares: dict[str, float], imbalance: int, deviation_factor: float) -> Scores:
    """Scores of the pods that are left; `shares` are those of the prompt that pods hold, by uid.

    (100 - match %) x 0.1 + in_flight / largest; out are pods above mean + f x standard deviation of in_flight, and all
    but the least where they are more than `imbalance` apart.
    """
    loads = [pod.in_flight for pod in pods]
    least, most = min(loads), max(loads)
    if most - least > imbalance:
        return {pod: float(least) for pod in pods if pod.in_flight == least}
    if most == least:
        return {pod: (100.0 - 100.0 * shares.get(pod.uid, 0.0)) * 0.1 + least / (most or 1) for pod in pods}
    mean = sum(loads) / len(loads)
    deviation = sqrt(max(0.0, sum(load * load for load in loads) / len(loads) - mean * mean))
    bound = mean + deviation_factor * deviation + _ROUNDING
    largest, share = most or 1, shares.get
    return {
        pod: (100.0 - 100.0 * share(pod.uid, 0.0)) * 0.1 + load / largest
        for pod, load in zip(pods, loads, strict=True)
        if load <= bound
    }


def decode_scores(pods: Sequence[Pod], now: float | None) -> DecodeScores:
    """Scores by what engines report at `now`; by in_flight where it is None, or nobody reports.

    (in_flight / largest + 1 - tokens per second / largest) / free share of the KV cache; `DECODE_SPREAD` apart, the
    least in_flight. Who does not report comes after those who do.
    """
    loads = [pod.in_flight for pod in pods]
    least, most = min(loads), max(loads)
    if most - least >= DECODE_SPREAD:
        return DecodeScores({pod: float(least) for pod in pods if pod.in_flight == least})
    told = {} if now is None else _told(pods, now)
    if not told:
        return DecodeScores({pod: float(pod.in_flight) for pod in pods}, known=now is None)
    largest = most or 1
    fastest = max(rate for rate, _ in told.values()) or 1.0
    scores = {pod: (pod.in_flight / largest + 1.0 - rate / fastest) / free for pod, (rate, free) in told.items()}
    last = max(scores.values()) + 1.0
    return DecodeScores({pod: scores.get(pod, last + pod.in_flight / largest) for pod in pods})


def _told(pods: Sequence[Pod], now: float) -> dict[Pod, tuple[float, float]]:
    """Tokens per second and free share of the KV cache, of the engines that report both."""
    found = {}
    for pod in pods:
        report = pod.metrics
        if report is None or report.expires <= now:
            continue
        rate, usage = report.generation_tokens_rate, report.kv_cache_usage
        if rate is not None and usage is not None and isfinite(rate) and isfinite(usage):
            found[pod] = rate, max(LEAST_FREE, 1.0 - usage)
    return found


def best_pair(groups: Sequence[Group], prefills: Scores, decodes: Scores, rng: Random) -> tuple[Pod, Pod]:
    """The pair with the lowest sum of both scores, each divided by the largest of the groups' best.

    Every group has a prefill pod with a score, and one of them a decode pod too; the scores are of the groups' pods.
    """
    if len(groups) == 1:
        return _least(prefills, rng), _least(decodes, rng)
    pairs = [
        (lowest(group.prefills, prefills, rng), lowest(group.decodes, decodes, rng))
        for group in groups
        if any(pod in decodes for pod in group.decodes)
    ]
    if len(pairs) == 1:
        return pairs[0]
    largest_prefill = max(prefills[prefill] for prefill, _ in pairs) or 1.0
    largest_decode = max(decodes[decode] for _, decode in pairs) or 1.0
    sums = [prefills[prefill] / largest_prefill + decodes[decode] / largest_decode for prefill, decode in pairs]
    least = min(sums) + _ROUNDING
    best = [pair for pair, total in zip(pairs, sums, strict=True) if total <= least]
    return best[int(rng.random() * len(best))]


def _least(scores: Scores, rng: Random) -> Pod:
    least = min(scores.values())
    return any_of([pod for pod, score in scores.items() if score == least], rng)


def lowest(pods: Sequence[Pod], scores: Scores, rng: Random) -> Pod:
    """The pod with the lowest score among those that have one; ties uniformly at random."""
    found = [scores.get(pod, inf) for pod in pods]
    least = min(found)
    return any_of([pod for pod, score in zip(pods, found, strict=True) if score == least], rng)
