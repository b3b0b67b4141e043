"""`least-kv-cache`: the pod whose running requests hold the least KV cache."""

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.reported import ReportScorer


class LeastKvCache(ReportScorer):
    """Score: share of the KV cache in use, plus that of the cache in main memory where the engine has one."""

    needs = frozenset({"kv_cache_usage", "cpu_cache_usage"})

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """The sum of both shares."""
        usage = report.kv_cache_usage
        return usage if usage is None or report.cpu_cache_usage is None else usage + report.cpu_cache_usage
