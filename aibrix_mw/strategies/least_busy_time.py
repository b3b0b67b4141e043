"""`least-busy-time`: the pod that has worked the smallest part of the last minute."""

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.reported import ReportScorer


class LeastBusyTime(ReportScorer):
    """Score: the GPU's busy ratio where the engine exports one, else the share of the window with running requests."""

    needs = frozenset({"gpu_busy_ratio", "busy_share"})

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """The share."""
        return report.gpu_busy_ratio if report.gpu_busy_ratio is not None else report.busy_share
