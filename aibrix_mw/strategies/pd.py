"""`pd`: one pod computes the prompt, another one of the same roleset the answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from aibrix_mw.errors import PairUnavailable
from aibrix_mw.outcome import NOTHING_TO_TRANSFER
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.roles import role_of
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Failure, Pods, Strategy
from aibrix_mw.strategies.formation import Formation
from aibrix_mw.strategies.pair_scores import lowest
from aibrix_mw.strategies.pairs import Pairs
from aibrix_mw.strategies.prefix import PrefixScorer

TWO_LEGS = frozenset({"/v1/chat/completions", "/v1/completions"})
FALLBACK_HEADER = ((b"x-aibrix-pd", b"fallback"),)
_KEPT = 256


class Pd(Strategy):
    """The prefill pod and the decode pod whose scores have the lowest sum, each divided by the largest of all rolesets.

    Prefill score: (100 - match %) x 0.1 + in_flight / largest, without pods above mean + `deviationFactor` (2) x
    standard deviation of in_flight; more than `imbalance` (16) apart, the least. Decode score: (in_flight / largest +
    1 - tokens per second / largest) / free share of the KV cache; in_flight where engines do not tell; 16 or more
    apart, the least. `prefillScorePolicy` and `decodeScorePolicy` may be `least_request`: in_flight alone.

    Prompts that fit no pair's bucket, and other paths than the two of text, go to one pod: a `combined` one, or by
    `fallback` (`decode` or `refuse`, the gateway's setting) to any that can serve alone, else PairUnavailable.
    """

    two_legs = True
    per_profile = True
    needs = frozenset({"generation_tokens_rate", "kv_cache_usage"})
    option_types: ClassVar[Mapping[str, Any]] = {
        **PrefixScorer.option_types,
        "deviationFactor": float,
        "prefillScorePolicy": str,
        "decodeScorePolicy": str,
    }

    def set_up(self) -> None:
        """Options; no pairs known yet."""
        self.prefixes = PrefixScorer(self.rng, self.options, self.clock)
        self.pairs = Pairs(
            self.prefixes,
            deviation_factor=self.options.get("deviationFactor", 2.0),
            by_prefix=self.options.get("prefillScorePolicy", "prefix_cache") == "prefix_cache",
            by_load=self.options.get("decodeScorePolicy", "load_balancing") == "load_balancing",
        )
        self.may_fall_back: bool = self.options.get("fallback", "decode") == "decode"
        self.profile: str = self.options.get("profile", "")
        self._formations: dict[str, tuple[Pods, Formation]] = {}

    def forget(self, pod: Pod, /) -> None:
        """Its cache has gone with it."""
        self.prefixes.forget(pod)
        self._formations.clear()

    def rehearsal(self) -> Self:
        """A twin that reads the same table of prompts."""
        return self.twin()

    def explain(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The score of each pod among those of its own leg; None for a pod that is not considered."""
        formation = self._formation(request.requested_model, pods)
        scored = self.pairs.score(request, formation, self.clock()) if request.path in TWO_LEGS else None
        if scored is not None:
            scores = {**scored.prefills, **scored.decodes.scores}
        else:
            alone = formation.decodes + formation.combined + formation.lone
            scores = {**self.pairs.decode_scores(alone, self.clock()).scores} if alone else {}
        return [scores.get(pod) for pod in pods]

    # --- the choice

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """A pair, or one pod that serves the request alone; PairUnavailable where nobody can."""
        formation = self._formation(request.requested_model, pods)
        if request.path not in TWO_LEGS:
            return self._whole(request, formation)
        return self._pair(request, formation) or self._without_pair(request, formation)

    def again(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """Another pair.

        After a failed prefill: another one of the roleset, then of another roleset. After a failed decode: elsewhere,
        as far as there is one.
        """
        last = failures[-1]
        if last.target.prefill is None:
            return self._another(request, pods, failures)
        for choice in _steps(pods, failures):
            target = self._pair(request, Formation(choice, self.profile))
            if target is not None:
                return target
        return None

    def alone(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """What is left when no pair is: one pod that serves the request alone, None where that is not allowed."""
        decode_failed = {failure.target.pod for failure in failures if not failure.prefill}
        left = [pod for pod in pods if pod not in decode_failed] or pods
        last = failures[-1]
        why = NOTHING_TO_TRANSFER if last.anywhere else "prefill_failed" if last.prefill else "decode_failed"
        for choice in (left, pods):
            try:
                return self._without_pair(request, Formation(choice, self.profile), why)
            except PairUnavailable:
                continue
        return None

    def _another(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure]) -> Target | None:
        """After a pod that was to serve alone: another such one, or the same one if there is no other."""
        tried = {failure.target.pod for failure in failures if not failure.prefill}
        choices = [[pod for pod in pods if pod not in tried], pods if len(tried) == 1 else ()]
        for choice in choices:
            formation = Formation(choice, self.profile)
            try:
                if request.path not in TWO_LEGS:
                    return self._whole(request, formation)
                return self._without_pair(request, formation, failures[-1].target.alone)
            except PairUnavailable:
                continue
        return None

    def _formation(self, model: str, pods: Pods) -> Formation:
        if not isinstance(pods, tuple):  # filtered for this one request
            return Formation(pods, self.profile)
        kept = self._formations.get(model)
        if kept is not None and kept[0] is pods:
            return kept[1]
        if len(self._formations) >= _KEPT:
            self._formations.clear()
        formation = Formation(pods, self.profile)
        self._formations[model] = (pods, formation)
        return formation

    def _pair(self, request: InferenceRequest, formation: Formation) -> Target | None:
        return self.pairs.pick(request, formation, self.clock(), self.rng, remember=not self.rehearsing)

    def _whole(self, request: InferenceRequest, formation: Formation) -> Target:
        """A pod for a request that is never divided."""
        able = dict.fromkeys([*formation.decodes, *formation.combined, *formation.lone])
        if not able:
            raise PairUnavailable(request.model, formation.why)
        return self._single(list(able))

    def _without_pair(self, request: InferenceRequest, formation: Formation, why: str | None = None) -> Target:
        tokens = request.prompt_tokens
        combined = formation.fitting(formation.combined, tokens)
        if combined:
            return self._single(combined)
        why = why or ("bucket" if formation.groups else formation.why)
        if not self.may_fall_back:
            raise PairUnavailable(request.model, why)
        able = formation.lone + formation.combined
        if not able:
            raise PairUnavailable(request.model, why)
        return self._single(formation.fitting(able, tokens) or able, why)

    def _single(self, pods: Sequence[Pod], why: str | None = None) -> Target:
        """One pod for all of the request; `why` names the reason where that is not how it was meant."""
        scored = self.pairs.decode_scores(pods, self.clock())
        pod = lowest(pods, scored.scores, self.rng)
        fallback = None if scored.known else "no_data"
        return Target(pod, headers=FALLBACK_HEADER if why else (), fallback=fallback, alone=why)


def _roleset(pod: Pod) -> str | None:
    role = role_of(pod.info)
    return None if role is None else role.roleset


def _steps(pods: Pods, failures: Sequence[Failure]) -> Iterator[list[Pod]]:
    """The pods among which a pair is looked for after a failure, one choice after the other."""
    last = failures[-1]
    dead = {failure.target.prefill for failure in failures if failure.prefill}
    broken = {failure.target.pod for failure in failures if not failure.prefill}
    fresh = [pod for pod in pods if pod not in dead and pod not in broken]
    if last.prefill:
        homes = [_roleset(pod) for failure in failures if failure.prefill and (pod := failure.target.prefill)]
        if len(homes) == 1:
            yield [pod for pod in fresh if _roleset(pod) == homes[0]]
        if len(set(homes)) == 1:
            yield [pod for pod in fresh if _roleset(pod) != homes[0]]
        return
    used = {failure.target.prefill for failure in failures}
    yield [pod for pod in fresh if pod not in used]
    if last.alive:  # it could not fetch what the prefill pod had computed
        yield [pod for pod in pods if pod not in used]
    yield fresh
