"""Passive ejection: a pod that fails again and again is left out for a while, then tried with one request."""

import time
from collections.abc import Callable, Sequence

from aibrix_mw.pods.pod import Pod


class Health:
    """What a pod's failures have come to; pods without any have none."""

    __slots__ = ("ejections", "failures", "out", "probing", "turn", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.ejections = 0
        self.out = False
        self.until = 0.0
        self.turn = 0  # requests placed until this one know nothing of the ejection
        self.probing = False


class Ejection:
    """Leaves out pods with `consecutive_failures` failures in a row.

    The n-th ejection in a row lasts base x 2^(n-1) seconds, at most `cap`; then the pod takes one request, whose end
    decides. At most `max_share` of the candidates are out, and never the last one: of those above that share the ones
    whose time ends first are candidates all the same.
    """

    def __init__(
        self,
        *,
        consecutive_failures: int = 5,
        base: float = 30.0,
        cap: float = 300.0,
        max_share: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.consecutive_failures = consecutive_failures
        self.base = base
        self.cap = cap
        self.max_share = max_share
        self.clock = clock
        self._health: dict[Pod, Health] = {}
        self._turn = 0

    def admit(self, pods: Sequence[Pod]) -> Sequence[Pod]:
        """The candidates without those that are out."""
        if not self._health:
            return pods
        now = self.clock()
        out = [(health.until, pod) for pod in pods if self._is_out(health := self._health.get(pod), now) and health]
        allowed = self._allowed(len(pods))
        if len(out) > allowed:
            out.sort(key=lambda item: item[0])
        excluded = {pod for _, pod in out[max(0, len(out) - allowed) :]}
        return [pod for pod in pods if pod not in excluded] if excluded else pods

    def ejected(self) -> list[Pod]:
        """The pods that are out now, or on probation."""
        return [pod for pod, health in self._health.items() if health.out]

    def on_trial(self, pod: Pod) -> bool:
        """Whether the pod is out: then the first byte of an answer brings it back, and not only its end."""
        health = self._health.get(pod)
        return health is not None and health.out

    # --- what becomes of requests

    def placed(self, pod: Pod) -> int:
        """A request goes to the pod; returns its number, by which its end is told."""
        self._turn += 1
        health = self._health.get(pod)
        if health is not None and health.out and health.until <= self.clock():
            health.probing = True
        return self._turn

    def succeeded(self, pod: Pod, turn: int) -> None:
        """The pod has answered: an error of the client's counts as an answer, and so does 429 or 500."""
        health = self._health.get(pod)
        if health is not None and self._counts(health, turn):
            del self._health[pod]

    def failed(self, pod: Pod, turn: int, siblings: Sequence[Pod]) -> None:
        """The pod could not be reached, broke off, answered 502 or 503, or was too slow; `siblings` serve its model."""
        health = self._health.setdefault(pod, Health())
        if not self._counts(health, turn):
            return
        health.failures += 1
        if health.out or (health.failures >= self.consecutive_failures and self._has_room(siblings)):
            self._eject(health)

    def abandoned(self, pod: Pod, turn: int) -> None:
        """The request ended for a reason that says nothing of the pod."""
        health = self._health.get(pod)
        if health is not None and self._counts(health, turn):
            health.probing = False

    def forget(self, pod: Pod) -> None:
        """The pod has left."""
        self._health.pop(pod, None)

    def _eject(self, health: Health) -> None:
        health.ejections += 1
        health.out, health.probing, health.turn = True, False, self._turn
        # the exponent is bounded, because floats are
        health.until = self.clock() + min(self.cap, self.base * 2.0 ** min(health.ejections - 1, 64))

    @staticmethod
    def _counts(health: Health, turn: int) -> bool:
        """Whether the request was placed after the last ejection."""
        return not health.out or turn > health.turn

    @staticmethod
    def _is_out(health: Health | None, now: float) -> bool:
        return health is not None and health.out and (now < health.until or health.probing)

    def _has_room(self, siblings: Sequence[Pod]) -> bool:
        out = sum(1 for pod in siblings if (health := self._health.get(pod)) is not None and health.out)
        return out < self._allowed(len(siblings))

    def _allowed(self, pods: int) -> int:
        return min(int(self.max_share * pods), pods - 1)
