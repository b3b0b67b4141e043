"""Weighted lists such as `least-request:6,session-affinity:4`."""

from collections.abc import Sequence
from math import isfinite
from random import Random
from typing import Self

import msgspec

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, Strategy, any_of

LARGEST_WEIGHT = 1_000_000
_TIE = 1e-9


class Item(msgspec.Struct, frozen=True):
    """One strategy of a list and its weight."""

    scorer: Scorer
    weight: int


def parse_weights(spec: str) -> list[tuple[str, int]]:
    """Names and weights of a list, at least one of them above 0. ValueError says what is wrong."""
    pairs = [_parse_item(item.strip()) for item in spec.split(",")]
    if not any(weight for _, weight in pairs):
        raise ValueError("all weights are zero")
    return pairs


def _parse_item(item: str) -> tuple[str, int]:
    name, colon, weight = item.partition(":")
    if not name:
        raise ValueError("an item is empty")
    if not colon:
        return name, 1
    if not (weight.isascii() and weight.isdigit()) or len(weight) > 7 or int(weight) > LARGEST_WEIGHT:
        raise ValueError(f"the weight of {name} is not a whole number from 0 to {LARGEST_WEIGHT}")
    return name, int(weight)


def normalised(scores: Sequence[float | None]) -> list[float]:
    """Min-max to [0, 1] with 1 = best (lowest score); a missing score is 0, all equal are 1."""
    known = [score for score in scores if score is not None and isfinite(score)]
    if not known:
        return [0.0] * len(scores)
    lowest, spread = min(known), max(known) - min(known)
    return [
        0.0 if score is None or not isfinite(score) else 1.0 if spread == 0 else 1.0 - (score - lowest) / spread
        for score in scores
    ]


def _with(scorer: Scorer, rng: Random) -> Scorer:
    scorer.rng = rng
    return scorer


class WeightedList(Strategy):
    """Several scorers, weighted: the pod with the highest sum(weight x normalised score) / sum(weight)."""

    highest_wins = True

    def __init__(self, items: Sequence[Item], rng: Random | None = None) -> None:
        super().__init__(rng)
        self.items = tuple(items)
        self.needs = frozenset().union(*(item.scorer.needs for item in items))
        self.counts_tokens = any(item.scorer.counts_tokens for item in items)
        self._total_weight = sum(item.weight for item in items)

    def rehearsal(self) -> Self:
        """A twin of twins, with one row of chances ahead of them as they have it in common here."""
        other = self.twin()
        other.items = tuple(Item(_with(item.scorer.rehearsal(), other.rng), item.weight) for item in self.items)
        return other

    def totals(self, request: InferenceRequest, pods: Pods, /) -> list[float]:
        """One number in [0, 1] a pod, highest is best."""
        totals = [0.0] * len(pods)
        for item in self.items:
            share = item.weight / self._total_weight
            scores = normalised(item.scorer.scores(request, pods))
            totals = [total + share * score for total, score in zip(totals, scores, strict=True)]
        return totals

    def explain(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The totals."""
        return self.totals(request, pods)

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The pod with the highest total; every item's scorer hears of the choice."""
        totals = self.totals(request, pods)
        best = max(totals) - _TIE
        pod = any_of([pod for pod, total in zip(pods, totals, strict=True) if total >= best], self.rng)
        targets = [item.scorer.chosen(request, pod) for item in self.items]
        return Target(
            pod,
            headers=tuple(header for target in targets for header in target.headers),
            match=next((target.match for target in targets if target.match is not None), None),
        )

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Pass on how the request ended."""
        for item in self.items:
            item.scorer.observe(request, target, outcome)
