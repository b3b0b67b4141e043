"""What strategies that compare engine reports share."""

from collections.abc import Sequence
from math import isfinite
from operator import attrgetter
from typing import Self

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer

CROWDED = 1.25
"""Load relative to the mean above which a pod gets nothing, however good its last report: between two reports all
gateways see the same best pod, and would all choose it."""

_in_flight = attrgetter("in_flight")


class ReportScorer(Scorer):
    """Compares pods by a number out of the engine's last report; a pod without a fresh one has none.

    Between two reports a number goes up and down with the pod's requests in flight, each of which counts as much as one
    did on average when the reports came: sum of numbers / sum of requests. Of the requests a replica knows only its
    own, while all have caused the numbers; so one of ours stands for those of the others too. Pods with more than
    1.25 x (mean + 1) requests in flight stand back; that counts for this strategy alone, not in lists, which have
    weights for it.
    """

    def set_up(self) -> None:
        """No report looked at yet."""
        self._seen: dict[Pod, tuple[EngineMetrics | None, int]] = {}

    def rehearsal(self) -> Self:
        """A twin that has seen what this one has."""
        other = self.twin()
        other._seen = dict(self._seen)
        return other

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """The pod's number, lowest wins; None where the report does not tell."""
        raise NotImplementedError

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The numbers of all pods, each with what has come and gone since its report."""
        now, score = self.clock(), self.score
        numbers = [
            score(pod, report) if (report := pod.metrics) is not None and report.expires > now else None for pod in pods
        ]
        then = list(map(self._in_flight_then, pods))
        known = [(n, count) for n, count in zip(numbers, then, strict=True) if n is not None and isfinite(n)]
        requests = sum(count for _, count in known)
        each = sum(number for number, _ in known) / requests if requests else 0.0
        return [
            None if number is None else number + each * (pod.in_flight - count)
            for pod, number, count in zip(pods, numbers, then, strict=True)
        ]

    def _in_flight_then(self, pod: Pod) -> int:
        """Requests in flight when the pod's last report was first looked at."""
        seen = self._seen.get(pod)
        if seen is None or seen[0] is not pod.metrics:
            seen = self._seen[pod] = (pod.metrics, pod.in_flight)
        return seen[1]

    def forget(self, pod: Pod, /) -> None:
        """It reports no more."""
        self._seen.pop(pod, None)

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The lowest number among pods that are not crowded."""
        loads = list(map(_in_flight, pods))
        bound = CROWDED * (sum(loads) / len(loads) + 1.0)
        if max(loads) > bound:
            pods = [pod for pod, load in zip(pods, loads, strict=True) if load <= bound]
        return super().pick(request, pods)
