"""Readiness that comes and goes: how often, and whose."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable

from aibrix_mw.pods.pod import PodInfo

FLAPS = 3
FLAP_WINDOW = 600.0

_NOT_READY = "not_ready"


class Churn:
    """Counts Ready <-> NotReady of live pods: not the first Ready, not a deletion.

    `transitions` is by (model, to), `to` being `ready` or `not_ready`; a pod flaps that has made 3 in 10 minutes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.transitions: Counter[tuple[str, str]] = Counter()
        self._was_ready: set[str] = set()
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=FLAPS))

    def see(self, before: PodInfo | None, now: PodInfo) -> None:
        """Compare what discovery said of a pod with what it says now."""
        if before is not None and now.uid in self._was_ready:
            if (before.excluded, now.excluded) == (None, _NOT_READY):
                self._count(now, _NOT_READY)
            elif (before.excluded, now.excluded) == (_NOT_READY, None):
                self._count(now, "ready")
        if now.excluded is None:
            self._was_ready.add(now.uid)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._was_ready.discard(uid)
        self._times.pop(uid, None)

    def is_flapping(self, uid: str) -> bool:
        """Whether the pod's readiness comes and goes now."""
        times = self._times.get(uid)
        return times is not None and len(times) == FLAPS and self.clock() - times[0] <= FLAP_WINDOW

    def _count(self, info: PodInfo, to: str) -> None:
        self.transitions[info.model, to] += 1
        self._times[info.uid].append(self.clock())
