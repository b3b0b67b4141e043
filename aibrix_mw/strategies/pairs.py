"""The choice of `pd` among pairs, which every request of two legs pays for."""

from collections.abc import Sequence
from random import Random

from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.formation import Formation, Group
from aibrix_mw.strategies.pair_scores import DecodeScores, Scores, best_pair, decode_scores, prefill_scores
from aibrix_mw.strategies.prefix import PrefixScorer


class Scored:
    """Groups that pair, the scores of their pods, and what is known of the prompt: its blocks, who holds what share."""

    def __init__(
        self,
        groups: Sequence[Group],
        prefills: Scores,
        decodes: DecodeScores,
        hashes: Sequence[int],
        shares: dict[str, float],
    ) -> None:
        self.groups = groups
        self.prefills = prefills
        self.decodes = decodes
        self.hashes = hashes
        self.shares = shares


class Pairs:
    """Compares pairs by the scores of both legs.

    Without `by_prefix` prefill pods, and without `by_load` decode pods, are compared by in_flight alone.
    """

    def __init__(self, prefixes: PrefixScorer, *, deviation_factor: float, by_prefix: bool, by_load: bool) -> None:
        self.prefixes = prefixes
        self.deviation_factor = deviation_factor
        self.by_prefix = by_prefix
        self.by_load = by_load

    def pick(
        self, request: InferenceRequest, formation: Formation, now: float, rng: Random, *, remember: bool
    ) -> Target | None:
        """The best pair, None where there is none; `remember` notes where the prompt goes."""
        scored = self.score(request, formation, now)
        if scored is None:
            return None
        decodes = scored.decodes
        prefill, decode = best_pair(scored.groups, scored.prefills, decodes.scores, rng)
        if scored.hashes and remember:
            self.prefixes.table.insert(scored.hashes, prefill.uid, now)
        match = scored.shares.get(prefill.uid, 0.0) if scored.hashes else None
        return Target(decode, prefill=prefill, match=match, fallback=None if decodes.known else "no_data")

    def score(self, request: InferenceRequest, formation: Formation, now: float) -> Scored | None:
        """The pairs for such a prompt and the scores of both legs; None where there is no pair."""
        groups = formation.groups
        if formation.bounded:
            tokens = request.prompt_tokens
            groups = [fitting for group in groups if (fitting := _fitting(group, formation, tokens))]
        if not groups:
            return None
        hashes = self.prefixes.blocks(request, groups[0].prefills) if self.by_prefix else []
        depths = self.prefixes.table.match(hashes, now) if hashes else {}
        shares = {uid: depth / len(hashes) for uid, depth in depths.items()}
        prefills = self._prefill_scores(_all([group.prefills for group in groups]), shares)
        if len(groups) > 1:
            groups = [group for group in groups if any(pod in prefills for pod in group.prefills)]
        decodes = self.decode_scores(_all([group.decodes for group in groups]), now)
        return Scored(groups, prefills, decodes, hashes, shares)

    def decode_scores(self, pods: Sequence[Pod], now: float) -> DecodeScores:
        """Scores of decode pods, also of such as serve a request alone."""
        return decode_scores(pods, now if self.by_load else None)

    def _prefill_scores(self, pods: Sequence[Pod], shares: dict[str, float]) -> Scores:
        if not self.by_prefix:
            return {pod: float(pod.in_flight) for pod in pods}
        return prefill_scores(pods, shares, self.prefixes.imbalance, self.deviation_factor)


def _all(legs: Sequence[tuple[Pod, ...]]) -> Sequence[Pod]:
    """Every pod once: those that pair with anybody are in several groups."""
    if len(legs) == 1:
        return legs[0]
    return list(dict.fromkeys([pod for pods in legs for pod in pods]))


def _fitting(group: Group, formation: Formation, tokens: int) -> Group | None:
    """The group for a prompt of so many tokens; None when one leg is left without pods."""
    if not group.bounded:
        return group
    prefills = formation.fitting(group.prefills, tokens)
    decodes = formation.fitting(group.decodes, tokens)
    return Group(group.roleset, tuple(prefills), tuple(decodes), True) if prefills and decodes else None
