"""`prefix-cache-preble`: where most of the prompt is cached, or where computing it costs least."""

from collections.abc import Sequence

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, any_of
from aibrix_mw.strategies.prefix import Depths, PrefixScorer
from aibrix_mw.strategies.sliding import SlidingSums

WINDOW = 180.0
"""Seconds of work that count as recent, as in the paper."""


class PrefixCachePreble(PrefixScorer):
    """Exploits the cache where it holds more than half of the prompt, else explores by cost.

    More than half matched: of the pods with the longest match, the one with the least work of the last three minutes.
    Else the pod with the least cost = that work + the prefill of what is not matched + what its place in the cache
    costs: tokens that are evicted are asked for again as often as the pod's prompts were found in its cache lately.
    Costs are seconds by the engine's own seconds per computed prompt token and per generated token; an engine that does
    not tell is taken for an average one, and when none does, tokens stand for seconds.

    After "Preble: Efficient Distributed Prompt Scheduling for LLM Serving" (Srivatsa et al., arXiv 2407.00023).
    """

    needs = frozenset({"uncached_prefill_seconds", "decode_seconds", "generation_tokens"})

    def set_up(self) -> None:
        """Nothing done in the last window."""
        super().set_up()
        self._computed, self._found, self._generated = (SlidingSums(WINDOW, slots=180) for _ in range(3))

    def among(
        self, request: InferenceRequest, pods: Pods, loads: Sequence[int], hashes: Sequence[int], depths: Depths
    ) -> Pod:
        """The cheapest pod, of all or of those with the longest match."""
        longest = max((depths.get(pod.uid, 0) for pod in pods), default=0)
        if 2 * longest > len(hashes):
            pods = [pod for pod in pods if depths.get(pod.uid, 0) == longest]
        costs = self._costs(request, pods, len(hashes), depths)
        least = min(costs)
        return any_of([pod for pod, cost in zip(pods, costs, strict=True) if cost == least], self.rng)

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The costs; missing for prompts shorter than a block."""
        hashes = self.blocks(request, pods)
        if not hashes:
            return [None] * len(pods)
        return self._costs(request, pods, len(hashes), self.table.match(hashes, self.clock()))

    def _costs(self, request: InferenceRequest, pods: Pods, blocks: int, depths: Depths) -> list[float]:
        now, tokens = self.clock(), request.prompt_tokens
        computed, found, generated = (sums.read(now) for sums in (self._computed, self._found, self._generated))
        costs = []
        for pod, (prefill, decode) in zip(pods, _speeds(pods, now), strict=True):
            uid = pod.uid
            mine, hits = computed.get(uid, 0.0), found.get(uid, 0.0)
            unmatched = tokens * (1.0 - depths.get(uid, 0) / blocks)
            asked_again = hits / (hits + mine) if hits else 0.0
            costs.append((mine + unmatched * (1.0 + asked_again)) * prefill + generated.get(uid, 0.0) * decode)
        return costs

    def note(self, request: InferenceRequest, pod: Pod, hashes: Sequence[int], depths: Depths) -> Target:
        """Remember the prompt, and the work that it makes."""
        target = super().note(request, pod, hashes, depths)
        if self.rehearsing:
            return target
        now, tokens = self.clock(), request.prompt_tokens
        matched = tokens * (target.match or 0.0)
        self._computed.add(pod.uid, tokens - matched, now)
        self._found.add(pod.uid, matched, now)
        self._generated.add(pod.uid, _answer_tokens(request, pod.metrics, now), now)
        return target


def _speeds(pods: Pods, now: float) -> list[tuple[float, float]]:
    """Seconds per computed prompt token and per generated token of each pod."""
    known: list[tuple[float, float] | None] = []
    for pod in pods:
        report = pod.metrics
        prefill = decode = None
        if report is not None and report.expires > now:
            prefill, decode = report.uncached_prefill_seconds, report.decode_seconds
        known.append(None if prefill is None or decode is None else (prefill, decode))
    told = [speed for speed in known if speed is not None]
    if not told:
        return [(1.0, 1.0)] * len(pods)
    average = sum(prefill for prefill, _ in told) / len(told), sum(decode for _, decode in told) / len(told)
    return [speed or average for speed in known]


def _answer_tokens(request: InferenceRequest, report: EngineMetrics | None, now: float) -> float:
    """Tokens that the answer will probably have: what the client allows, or the engine's mean if that is less."""
    mean = report.generation_tokens if report is not None and report.expires > now else None
    known = [tokens for tokens in (request.max_tokens, mean) if tokens is not None]
    return min(known, default=0.0)
