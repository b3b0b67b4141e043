"""What a routing strategy is."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from math import isfinite
from random import Random
from typing import Any, ClassVar, Self

import msgspec

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.ties import any_of as any_of
from aibrix_mw.strategies.ties import least_in_flight as least_in_flight

Pods = Sequence[Pod]


class Failure(msgspec.Struct, frozen=True):
    """What has become of a target: the `prefill` leg failed, or else its pod.

    `alive` says that the pod has answered for itself: it could not fetch what the prefill pod had computed. `anywhere`
    says that other prefill pods would do the same.
    """

    target: Target
    prefill: bool = False
    alive: bool = False
    anywhere: bool = False


class Strategy:
    """Chooses the target of a request.

    One instance serves all profiles whose routingConfig gives it the same options, for as long as the gateway runs.
    `pick` is synchronous on purpose: choice and in-flight count happen in one turn of the event loop.
    """

    option_types: ClassVar[Mapping[str, Any]] = {}
    """Keys of routingConfig that the strategy reads, each with a type that msgspec checks:
    `{"depth": Annotated[int, msgspec.Meta(ge=1)]}`. Other keys do not reach it."""

    needs: frozenset[str] = frozenset()
    """Fields of EngineMetrics that the strategy looks at; the scraper asks engines for nothing else."""

    counts_tokens: bool = False
    """Whether `observe` looks at the engine's count of tokens: reading it costs a search in each chunk of an answer."""

    highest_wins: ClassVar[bool] = False
    """Of what `explain` says: whether the highest number is the best one."""
    two_legs: bool = False
    """Whether targets have a prefill pod. Such a strategy stands in no list: one that names it is this one alone."""

    per_profile: bool = False
    """Whether the option `profile` tells it the name of the profile that applies."""

    rehearsing: bool = False
    """Whether this is a twin whose choices are only talked about: what it has in common with the original stays."""

    def __init__(
        self,
        rng: Random | None = None,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rng = rng or Random()
        self.options = options or {}
        self.clock = clock
        self.set_up()

    def set_up(self) -> None:
        """Make what the strategy keeps; `rng`, `options` and `clock` are there."""

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """Choose among ready pods, of which there is at least one."""
        raise NotImplementedError

    def explain(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """For people: the numbers that `pick` would compare now, one a pod; empty where it compares none."""
        return ()

    def rehearsal(self) -> Self:
        """A twin that picks what this one would pick now, and leaves no trace of it here.

        By default a deep copy, in which pods stay the pods they are. Who keeps what cannot be copied, or is long to
        copy, overrides this: `twin` makes a copy that shares everything but chance and says that it is `rehearsing`.
        """
        return deepcopy(self)

    def twin(self) -> Self:
        """A shallow copy with the same chances ahead of it."""
        other = copy(self)
        other.rng = copy(self.rng)
        other.rehearsing = True
        return other

    def again(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """One more target of the same kind after these failures; None when there is none. Asked where `two_legs`."""
        return None

    def alone(self, request: InferenceRequest, pods: Pods, failures: Sequence[Failure], /) -> Target | None:
        """What is left when `again` has nothing more: one pod for both legs. Asked where `two_legs`."""
        return None

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Hear how a request that this strategy placed has ended."""

    def forget(self, pod: Pod, /) -> None:
        """Hear that a pod has left for good."""

    def tell(self) -> Mapping[str, float]:
        """Numbers that other gateways are to hear several times a second, where there is a store."""
        return {}

    def hear(self, elsewhere: Mapping[str, float], /) -> None:
        """Take over the sums of what the same strategy with the same options tells in all other gateways."""


class Scorer(Strategy):
    """A strategy that compares pods by a number, so that it can stand in a weighted list."""

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """One raw score a pod, lowest wins; None where the data is missing."""
        raise NotImplementedError

    def explain(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The scores."""
        return self.scores(request, pods)

    def chosen(self, request: InferenceRequest, pod: Pod, /, fallback: str | None = None) -> Target:
        """Note the choice, whoever made it, and turn it into a target."""
        return Target(pod, fallback=fallback)

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The pod with the lowest score; `least-request` decides where no pod has one."""
        scores = self.scores(request, pods)
        known = [score for score in scores if score is not None and isfinite(score)]
        if not known:
            return self.chosen(request, least_in_flight(pods, self.rng), fallback="no_data")
        lowest = min(known)
        return self.chosen(
            request, any_of([pod for score, pod in zip(scores, pods, strict=True) if score == lowest], self.rng)
        )
