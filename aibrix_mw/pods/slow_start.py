"""Slow start: a pod that has just turned Ready is not warm, and gets its share bit by bit."""

import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager

from aibrix_mw.pods.pod import Pod

FIRST_SHARE = 0.1
BURST = 1.0  # with 2 of every replica a pod gets more than 1 / n of some 5 s at the end of its period


class SlowStart:
    """Holds back pods in `risen` (pod -> when it turned Ready) for `period` seconds.

    Such a pod's weight grows from 10 % to 100 %. Each choice among n pods gives it weight / all weights, at most 1 / n,
    of a ticket; it is a candidate while it has a whole one, and pays with it when it is chosen. So whatever strategy
    chooses, the pod gets no more than its share, plus one request. Where nobody but such pods is left, none
    is held back.
    """

    def __init__(
        self, risen: MutableMapping[Pod, float], period: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.risen = risen
        self.period = period
        self.clock = clock
        self.tickets: dict[Pod, float] = {}

    def admit(self, pods: Sequence[Pod]) -> Sequence[Pod]:
        """The candidates without those that have had their share."""
        if not self.risen:
            return pods
        weights = self._weights(pods)
        if not weights or len(weights) == len(pods):
            return pods
        total = len(pods) - len(weights) + sum(weights.values())
        for pod, weight in weights.items():
            share = min(weight / total, 1.0 / len(pods))
            self.tickets[pod] = min(BURST, self.tickets.get(pod, 0.0) + share)
        return [pod for pod in pods if pod not in weights or self.tickets[pod] >= 1.0]

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """For choices that are only talked about: after the block the tickets are as before."""
        tickets = dict(self.tickets)
        try:
            yield
        finally:
            self.tickets = tickets

    def placed(self, pod: Pod) -> None:
        """A request goes to the pod."""
        tickets = self.tickets.get(pod)
        if tickets is not None:
            self.tickets[pod] = max(0.0, tickets - 1.0)

    def forget(self, pod: Pod) -> None:
        """The pod has left, or is warm."""
        self.risen.pop(pod, None)
        self.tickets.pop(pod, None)

    def _weights(self, pods: Sequence[Pod]) -> dict[Pod, float]:
        """The weight of each pod that is not warm yet."""
        now = self.clock()
        weights: dict[Pod, float] = {}
        for pod in pods:
            since = self.risen.get(pod)
            if since is not None:
                age = now - since
                if age >= self.period:
                    self.forget(pod)
                else:
                    weights[pod] = FIRST_SHARE + (1.0 - FIRST_SHARE) * age / self.period
        return weights
