"""`throughput`: the pod that has processed the fewest tokens lately."""

from aibrix_mw.pods.engine_metrics import WINDOW, EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.reported import ReportScorer


class Throughput(ReportScorer):
    """Score: 2 x prompt tokens/s + generated tokens/s over the window + 2 x outstanding tokens / window."""

    needs = frozenset({"prompt_tokens_rate", "generation_tokens_rate"})

    def score(self, pod: Pod, report: EngineMetrics, /) -> float | None:
        """Tokens per second; those that are on their way count as if they had been processed."""
        prompt, generated = report.prompt_tokens_rate, report.generation_tokens_rate
        if prompt is None or generated is None:
            return None
        return 2.0 * (prompt + pod.outstanding_tokens / WINDOW) + generated
