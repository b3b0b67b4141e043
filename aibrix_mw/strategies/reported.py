"""What strategies that compare engine reports share."""

from collections.abc import Sequence
from operator import attrgetter

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer

CROWDED = 2.0
"""Load relative to the mean above which a pod gets nothing, however good its last report: between two reports all
gateways see the same best pod, and would all choose it."""

_in_flight = attrgetter("in_flight")


class ReportScorer(Scorer):
    """Compares pods by a number out of the engine's last report; a pod without a fresh one has none.

    Pods with more than 2 x (mean + 1) requests in flight stand back. That counts for this strategy alone, not in lists,
    which have weights for it.
    """

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """The pod's number, lowest wins; None where the report does not tell."""
        raise NotImplementedError

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """The numbers of all pods."""
        now, score = self.clock(), self.score
        return [
            score(pod, report) if (report := pod.metrics) is not None and report.expires > now else None for pod in pods
        ]

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The lowest number among pods that are not crowded."""
        loads = list(map(_in_flight, pods))
        bound = CROWDED * (sum(loads) / len(loads) + 1.0)
        if max(loads) > bound:
            pods = [pod for pod, load in zip(pods, loads, strict=True) if load <= bound]
        return super().pick(request, pods)
