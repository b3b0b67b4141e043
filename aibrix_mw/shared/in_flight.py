"""Requests in flight on each pod, of all gateways."""

from collections.abc import Mapping

from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.shared.exchange import Numbers, Topic


class InFlight:
    """Tells what this gateway has on its pods, and adds what others have to every pod's `in_flight`."""

    def __init__(self, registry: PodRegistry) -> None:
        self.registry = registry
        self._elsewhere: Numbers = {}

    def topic(self) -> Topic:
        """For the exchange."""
        return Topic("in_flight", self.collect, self.take)

    def collect(self) -> Mapping[str, int]:
        """Requests of this gateway by pod uid; idle pods are left out."""
        return {pod.uid: pod.held for pod in self.registry.pods() if pod.held}

    def take(self, elsewhere: Numbers) -> None:
        """Take over what all other gateways have by pod uid."""
        for uid in self._elsewhere.keys() | elsewhere.keys():
            pod = self.registry.pod(uid)
            if pod is not None:
                pod.hear(int(elsewhere.get(uid, 0)))
        self._elsewhere = elsewhere
