"""`random`: every pod is as good as another."""

from aibrix_mw.pods.pod import Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Strategy, any_of


class Random(Strategy):
    """Uniformly at random."""

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """Any pod."""
        return Target(any_of(pods, self.rng))
