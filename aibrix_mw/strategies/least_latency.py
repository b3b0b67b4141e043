"""`least-latency`: the pod that will probably have answered first."""

from collections.abc import Sequence
from math import isfinite

from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Scorer

_NEWEST_SHARE = 0.05  # weight of one more answer in our own mean length


class LeastLatency(Scorer):
    """Score: L x (in_flight + 1), L being the seconds that this request would take on the pod.

    L = queue + P x prefill + G x decode: mean queue time, seconds per prompt token and per generated token, from the
    engine's own histograms of the last minute; P is the request's estimated prompt tokens, G the smaller of what the
    client allows and the mean answer. An engine that is scraped and had nothing to measure within the window is taken
    for an average one, or it would never be asked again. Where the engine does not tell, what we see of the pod counts:
    P x first-token seconds per uncached token + G x seconds per output token.
    """

    counts_tokens = True
    needs = frozenset({"queue_seconds", "prefill_seconds", "decode_seconds", "generation_tokens"})

    def set_up(self) -> None:
        """No answer seen yet."""
        self._mean_answer: dict[str, float] = {}  # tokens by model, where engines do not tell

    def observe(self, request: InferenceRequest, target: Target, outcome: Outcome, /) -> None:
        """Learn how long answers are."""
        if outcome.completion_tokens:
            mean = self._mean_answer.get(request.model, outcome.completion_tokens)
            self._mean_answer[request.model] = mean + _NEWEST_SHARE * (outcome.completion_tokens - mean)

    def scores(self, request: InferenceRequest, pods: Pods, /) -> Sequence[float | None]:
        """Seconds, times the requests that would share the pod."""
        now = self.clock()
        reports = [report if (report := pod.metrics) is not None and report.expires > now else None for pod in pods]
        generated = self._generated(request, reports)
        if generated is None:
            return [None] * len(pods)
        prompt = request.prompt_tokens
        seconds = [
            value
            if report is not None and (value := _by_engine(report, prompt, generated)) is not None
            else _by_us(pod, prompt, generated, now)
            for pod, report in zip(pods, reports, strict=True)
        ]
        measured = [value for value in seconds if value is not None and value >= 0]
        if not measured:
            return [None] * len(pods)
        average = sum(measured) / len(measured)
        return [
            None if value is None else (average if value < 0 else value) * (pod.in_flight + 1)
            for pod, value in zip(pods, seconds, strict=True)
        ]

    def _generated(self, request: InferenceRequest, reports: Sequence[EngineMetrics | None]) -> float | None:
        """Tokens that this request will probably generate; None when nothing is known."""
        lengths = [n for report in reports if report is not None and (n := report.generation_tokens) is not None]
        mean = sum(lengths) / len(lengths) if lengths else None
        if mean is None or not isfinite(mean):
            mean = self._mean_answer.get(request.model)
        limit = request.max_tokens
        if mean is None:
            return limit
        return mean if limit is None else min(limit, mean)


_IDLE = -1.0


def _by_engine(report: EngineMetrics, prompt: int, generated: float) -> float | None:
    """Seconds by the engine's histograms; _IDLE when it had nothing to measure."""
    queue, prefill, decode = report.queue_seconds, report.prefill_seconds, report.decode_seconds
    if queue is not None and prefill is not None and decode is not None:
        seconds = queue + prompt * prefill + generated * decode
        return seconds if isfinite(seconds) else None
    return _IDLE if queue is None and prefill is None and decode is None else None


def _by_us(pod: Pod, prompt: int, generated: float, now: float) -> float | None:
    """Seconds by what we see of the pod."""
    first_token, output_token = pod.latency.first_token.read(now), pod.latency.output_token.read(now)
    if first_token is None or output_token is None:
        return None
    return prompt * first_token + generated * output_token
