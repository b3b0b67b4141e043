"""`least-gpu-cache`: the pod with the most room in the KV cache of its GPU."""

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.reported import ReportScorer


class LeastGpuCache(ReportScorer):
    """Score: share of the GPU's KV cache in use; newer engines have one name for it and for all KV cache."""

    needs = frozenset({"gpu_cache_usage", "kv_cache_usage"})

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """The share."""
        return report.gpu_cache_usage if report.gpu_cache_usage is not None else report.kv_cache_usage
