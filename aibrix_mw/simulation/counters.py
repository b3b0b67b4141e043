"""What a simulated engine counts, as sums and counts of vLLM's series: enough for windowed rates and means."""

from collections.abc import Mapping

_COUNTERS = ("prefix_cache_queries_total", "prefix_cache_hits_total", "prompt_tokens_total")
_HISTOGRAMS = (
    "time_to_first_token_seconds",
    "request_queue_time_seconds",
    "request_prefill_time_seconds",
    "request_decode_time_seconds",
    "e2e_request_latency_seconds",
    "request_prompt_tokens",
    "request_generation_tokens",
    "request_time_per_output_token_seconds",
    "inter_token_latency_seconds",
)
_PARTS = ("_sum", "_count")
_LABELS = '{engine="0",model_name="simulated"}'


class Counters:
    """Numbers of one engine since its start; seconds and tokens."""

    def __init__(self) -> None:
        self.busy = 0.0
        self.generated = 0
        self._totals = {
            f"vllm:{name}": 0.0 for name in (*_COUNTERS, *(n + part for n in _HISTOGRAMS for part in _PARTS))
        }

    def page(self, now: Mapping[str, float]) -> bytes:
        """A metrics page with what was counted and what is so `now`; a histogram is its `_sum` and `_count`."""
        return "".join([f"{name}{_LABELS} {value}\n" for name, value in {**self._totals, **now}.items()]).encode()

    def started(self, prompt_tokens: int, cached: int) -> None:
        """A request left the queue, so many of its prompt tokens cached."""
        self._totals["vllm:prefix_cache_queries_total"] += prompt_tokens
        self._totals["vllm:prefix_cache_hits_total"] += cached

    def steps(self, tokens: int, seconds: float) -> None:
        """Steps of so many seconds gave so many tokens."""
        self.generated += tokens
        self.busy += seconds

    def first(self, prompt_tokens: int, since_arrival: float) -> None:
        """A first token is there."""
        self.generated += 1
        self._totals["vllm:prompt_tokens_total"] += prompt_tokens
        self._observe("vllm:time_to_first_token_seconds", since_arrival)

    def ended(self, prompt_tokens: int, output_tokens: int, queued: float, prefill: float, decode: float) -> None:
        """A request is complete after so many seconds in the queue, until its first token and until its last."""
        self._observe("vllm:request_queue_time_seconds", queued)
        self._observe("vllm:request_prefill_time_seconds", prefill)
        self._observe("vllm:request_decode_time_seconds", decode)
        self._observe("vllm:e2e_request_latency_seconds", queued + prefill + decode)
        self._observe("vllm:request_prompt_tokens", prompt_tokens)
        self._observe("vllm:request_generation_tokens", output_tokens)
        if output_tokens > 1:
            self._observe("vllm:request_time_per_output_token_seconds", decode / (output_tokens - 1))
            self._totals["vllm:inter_token_latency_seconds_sum"] += decode
            self._totals["vllm:inter_token_latency_seconds_count"] += output_tokens - 1

    def _observe(self, name: str, value: float) -> None:
        self._totals[name + "_sum"] += value
        self._totals[name + "_count"] += 1
