"""`power-of-two`: two pods at random, the less loaded one of them."""

from aibrix_mw.pods.pod import Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Strategy, least_in_flight


class PowerOfTwo(Strategy):
    """Two distinct random pods, the one with fewer requests in flight.

    Nearly as even as looking at all pods, and several gateways that do not talk to each other do not all choose the
    same pod. Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.
    """

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The better of two."""
        if len(pods) > 2:
            pods = self.rng.sample(pods, 2)
        return Target(least_in_flight(pods, self.rng))
