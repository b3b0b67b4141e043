"""`/metrics` under vLLM's names (engine V1), written by hand: the simulation needs no metrics library.

Names, label names and bucket bounds are vLLM's; a family that it has and this module lacks is not simulated.
"""

from bisect import bisect_left
from collections.abc import Mapping

TOKEN_LATENCY = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0)
FIRST_TOKEN = (*TOKEN_LATENCY, 80.0, 160.0, 640.0, 2560.0)
OUTPUT_TOKEN = (
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
)
REQUEST = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)

GAUGES = {
    "vllm:num_requests_running": "Requests in the batch.",
    "vllm:num_requests_waiting": "Requests in the queue.",
    "vllm:kv_cache_usage_perc": "Share of KV blocks held by running requests, 0 to 1.",
}
COUNTERS = {
    "vllm:prefix_cache_queries_total": "Prompt tokens looked up in the prefix cache.",
    "vllm:prefix_cache_hits_total": "Prompt tokens found in the prefix cache.",
    "vllm:prompt_tokens_total": "Prompt tokens processed, cached ones included.",
    "vllm:prompt_tokens_by_source_total": "Prompt tokens by where their KV came from.",
    "vllm:generation_tokens_total": "Tokens generated.",
    "vllm:request_success_total": "Requests ended, by reason.",
}
HISTOGRAMS = {
    "vllm:time_to_first_token_seconds": (FIRST_TOKEN, "Arrival to first token."),
    "vllm:inter_token_latency_seconds": (OUTPUT_TOKEN, "Gap between two tokens of a request."),
    "vllm:request_time_per_output_token_seconds": (OUTPUT_TOKEN, "Mean gap between the tokens of a request."),
    "vllm:e2e_request_latency_seconds": (REQUEST, "Arrival to last token."),
    "vllm:request_queue_time_seconds": (REQUEST, "Time in the queue."),
    "vllm:request_inference_time_seconds": (REQUEST, "Time in the batch."),
    "vllm:request_prefill_time_seconds": (REQUEST, "Time in prefill."),
    "vllm:request_decode_time_seconds": (REQUEST, "Time in decode."),
    "vllm:request_prompt_tokens": (TOKENS, "Prompt tokens of a request."),
    "vllm:request_generation_tokens": (TOKENS, "Tokens generated for a request."),
}
REASONS = ("stop", "length", "abort")
"""Values of `finished_reason`; each is exported from the start, as 0."""
SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")


class Histogram:
    """Observations sorted into buckets; `bounds` are inclusive upper ends, ascending."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> list[str]:
        """Give the samples: cumulative buckets, then sum and count."""
        lines, total = [], 0
        for bound, count in zip((*map(float, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {float(total)}')
        return [*lines, f"{name}_sum{{{labels}}} {self._sum}", f"{name}_count{{{labels}}} {float(total)}"]


class EngineMetrics:
    """The numbers of one engine since its start, all under the label `model_name` of its first name."""

    def __init__(self, model: str) -> None:
        self._labels = f'engine="0",model_name="{escape(model)}"'
        self._counters: dict[str, dict[str, float]] = {name: {"": 0.0} for name in COUNTERS}
        self._counters["vllm:request_success_total"] = {f'finished_reason="{r}"': 0.0 for r in REASONS}
        self._counters["vllm:prompt_tokens_by_source_total"] = {f'source="{s}"': 0.0 for s in SOURCES}
        self._histograms = {name: Histogram(bounds) for name, (bounds, _) in HISTOGRAMS.items()}

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Raise a counter; `label` is one further label such as `finished_reason="stop"`. `KeyError` if unknown."""
        self._counters[name][label] += amount

    def value(self, name: str, label: str = "") -> float:
        """Give a counter's value. `KeyError` if unknown."""
        return self._counters[name][label]

    def observe(self, name: str, value: float) -> None:
        """Count a value in a histogram. `KeyError` if unknown."""
        self._histograms[name].observe(value)

    def render(self, gauges: Mapping[str, float]) -> str:
        """Give the text exposition; `gauges` holds a value for each of `GAUGES`."""
        lines = []
        for name, text in GAUGES.items():
            lines += [*head(name, text, "gauge"), f"{name}{{{self._labels}}} {float(gauges[name])}"]
        for name, text in COUNTERS.items():
            lines += [*head(name, text, "counter"), *self._counter_lines(name)]
        for name, (_, text) in HISTOGRAMS.items():
            lines += [*head(name, text, "histogram"), *self._histograms[name].lines(name, self._labels)]
        return "\n".join(lines) + "\n"

    def _counter_lines(self, name: str) -> list[str]:
        return [
            f"{name}{{{self._labels}{',' if label else ''}{label}}} {value}"
            for label, value in self._counters[name].items()
        ]


def head(name: str, text: str, kind: str) -> tuple[str, str]:
    """Give the two comment lines before a family."""
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def escape(value: str) -> str:
    """Escape a label value as the exposition format wants it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
