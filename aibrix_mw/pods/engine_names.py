"""What engines call their metrics: one table an engine.

A quantity may have several names, of which the first one that the engine exports counts: versions differ.
"""

from collections.abc import Mapping
from typing import NamedTuple

Names = tuple[bytes, ...]


class EngineNames(NamedTuple):
    """Where an engine's metrics are, and what the quantities are called; a histogram's name is that of its family."""

    path: bytes
    totals: Mapping[str, Names]
    """Gauges that add up over the ranks of one engine."""
    shares: Mapping[str, Names]
    """Gauges of which the mean over the ranks counts."""
    counters: Mapping[str, Names]
    histograms: Mapping[str, Names]


_BUSY = (b"gpu_busy_time_ratio", b"vllm:gpu_busy_time_ratio")

VLLM = EngineNames(
    path=b"/metrics",
    totals={"running": (b"vllm:num_requests_running",), "waiting": (b"vllm:num_requests_waiting",)},
    shares={
        "kv_cache_usage": (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"),
        "gpu_cache_usage": (b"vllm:gpu_cache_usage_perc",),
        "cpu_cache_usage": (b"vllm:cpu_cache_usage_perc",),
        "gpu_busy_ratio": _BUSY,
    },
    counters={
        "prompt_tokens": (b"vllm:prompt_tokens_total",),
        "generation_tokens": (b"vllm:generation_tokens_total",),
        "cache_queries": (b"vllm:prefix_cache_queries_total",),
        "cache_hits": (b"vllm:prefix_cache_hits_total",),
    },
    histograms={
        "first_token": (b"vllm:time_to_first_token_seconds",),
        "queue": (b"vllm:request_queue_time_seconds",),
        "prefill": (b"vllm:request_prefill_time_seconds",),
        "decode": (b"vllm:request_decode_time_seconds",),
        "output_token": (
            b"vllm:request_time_per_output_token_seconds",
            b"vllm:inter_token_latency_seconds",
            b"vllm:time_per_output_token_seconds",
        ),
        "request": (b"vllm:e2e_request_latency_seconds",),
        "prompt_length": (b"vllm:request_prompt_tokens",),
        "answer_length": (b"vllm:request_generation_tokens",),
    },
)

SGLANG = EngineNames(
    path=b"/metrics",
    totals={
        "running": (b"sglang:num_running_reqs",),
        "waiting": (b"sglang:num_queue_reqs",),
        "generation_rate": (b"sglang:gen_throughput",),
    },
    shares={"kv_cache_usage": (b"sglang:token_usage",), "gpu_busy_ratio": (b"gpu_busy_time_ratio",)},
    counters={
        "prompt_tokens": (b"sglang:prompt_tokens_total",),
        "generation_tokens": (b"sglang:generation_tokens_total",),
        "cache_hits": (b"sglang:cached_tokens_total",),
    },
    histograms={
        "first_token": (b"sglang:time_to_first_token_seconds",),
        "queue": (b"sglang:queue_time_seconds", b"sglang:request_queue_time_seconds"),
        "prefill": (b"sglang:request_prefill_time_seconds",),
        "decode": (b"sglang:request_decode_time_seconds",),
        "output_token": (
            b"sglang:request_time_per_output_token_seconds",
            b"sglang:inter_token_latency_seconds",
            b"sglang:time_per_output_token_seconds",
        ),
        "request": (b"sglang:e2e_request_latency_seconds",),
        "prompt_length": (b"sglang:prompt_tokens_histogram", b"sglang:request_prompt_tokens"),
        "answer_length": (b"sglang:generation_tokens_histogram", b"sglang:request_generation_tokens"),
    },
)

TRTLLM = EngineNames(
    path=b"/prometheus/metrics",
    totals={},
    shares={"kv_cache_usage": (b"trtllm_kv_cache_utilization",), "gpu_busy_ratio": (b"gpu_busy_time_ratio",)},
    counters={},
    histograms={
        "first_token": (b"trtllm_time_to_first_token_seconds",),
        "queue": (b"trtllm_request_queue_time_seconds",),
        "output_token": (b"trtllm_time_per_output_token_seconds",),
        "request": (b"trtllm_e2e_request_latency_seconds",),
    },
)

ENGINE_NAMES = {"vllm": VLLM, "sglang": SGLANG, "trtllm": TRTLLM}

_PREFILL = frozenset({"prefill", "first_token", "queue", "prompt_length", "prompt_tokens"})

SOURCES: Mapping[str, frozenset[str]] = {
    "running": frozenset({"running"}),
    "waiting": frozenset({"waiting"}),
    "kv_cache_usage": frozenset({"kv_cache_usage"}),
    "gpu_cache_usage": frozenset({"gpu_cache_usage"}),
    "cpu_cache_usage": frozenset({"cpu_cache_usage"}),
    "gpu_busy_ratio": frozenset({"gpu_busy_ratio"}),
    "busy_share": frozenset({"running"}),
    "prompt_tokens_rate": frozenset({"prompt_tokens"}),
    "generation_tokens_rate": frozenset({"generation_tokens", "generation_rate"}),
    "queue_seconds": frozenset({"queue", "first_token"}),
    "prefill_seconds": _PREFILL,
    "uncached_prefill_seconds": _PREFILL | {"cache_hits"},
    "decode_seconds": frozenset({"decode", "answer_length", "output_token"}),
    "generation_tokens": frozenset({"answer_length", "generation_tokens", "request"}),
}
"""Field of EngineMetrics -> the quantities that it is computed from."""
