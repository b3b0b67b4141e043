"""`least-request`: the pod with the fewest requests in flight."""

from collections.abc import Sequence

from aibrix_mw.pods.pod import Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer, least_in_flight


class LeastRequest(Scorer):
    """Score: in_flight."""

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float]:
        """Requests in flight."""
        return [pod.in_flight for pod in pods]

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The same choice as by scores, without the detour: this is the default strategy."""
        return Target(least_in_flight(pods, self.rng))
