"""The pods of a request's model, each with the reason why it is no candidate, or its score."""

from collections.abc import Collection, Mapping

from aibrix_mw.explain.told import PodState
from aibrix_mw.pods.exclusion import exclusion
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.roles import role_of
from aibrix_mw.pods.selector import Selector
from aibrix_mw.request import InferenceRequest

Scores = Mapping[Pod, float | None]


class PodTable:
    """What is known of pods; `selector`, `max_in_flight`, `admitted` and `scores` as the request gets along.

    Until it is known which are `admitted`, those count as candidates that the rest lets through.
    """

    def __init__(self, registry: PodRegistry, request: InferenceRequest, ejected: Collection[Pod]) -> None:
        self.members = sorted(registry.members(request.model), key=lambda pod: (pod.info.namespace, pod.info.name))
        self.serving = registry.serving(request.requested_model)
        self.ejected = ejected
        self.selector: Selector | None = None
        self.max_in_flight = 0
        self.admitted: Collection[Pod] | None = None
        self.scores: Scores = {}

    def states(self) -> list[PodState]:
        """Every pod of the model, by name."""
        return [_state(pod, self._excluded(pod), self.scores.get(pod)) for pod in self.members]

    def _excluded(self, pod: Pod) -> str | None:
        if self.admitted is not None and pod in self.admitted:
            return None
        if pod not in self.serving:
            return pod.info.excluded or "adapter"
        ejected = self.ejected if self.admitted is not None else ()
        why = exclusion(pod, selector=self.selector, max_in_flight=self.max_in_flight, ejected=ejected)
        return None if self.admitted is None and why == "held_back" else why


def _state(pod: Pod, excluded: str | None, score: float | None) -> PodState:
    info, role = pod.info, role_of(pod.info)
    return PodState(
        name=info.name,
        namespace=info.namespace,
        address=info.address.netloc if info.address is not None else None,
        role=f"{role.name} of {role.roleset}" if role is not None else None,
        in_flight=pod.in_flight,
        excluded=excluded,
        score=score,
    )
