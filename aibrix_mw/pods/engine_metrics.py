"""What an engine says of itself, in the gateway's words: the same for every engine."""

import msgspec

WINDOW = 60.0
"""Seconds over which rates and means are taken."""


class EngineMetrics(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One engine's own word as of one scrape; replaced whole by the next one.

    None is what the engine does not export, or what did not occur within the window. Shares are 0 to 1, times seconds,
    rates per second; rates and means are over the last 60 s, never over the engine's life. `expires` is the moment,
    by `time.monotonic`, from which on all of it counts as missing. Gateways tell each other the fields by their places:
    a new one comes last.
    """

    expires: float
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    gpu_cache_usage: float | None = None
    cpu_cache_usage: float | None = None
    gpu_busy_ratio: float | None = None
    busy_share: float | None = None
    """Share of the window in which the engine reported running requests."""
    prompt_tokens_rate: float | None = None
    generation_tokens_rate: float | None = None
    queue_seconds: float | None = None
    """Mean time of a request in the engine's queue."""
    prefill_seconds: float | None = None
    """Prefill time per prompt token, cached tokens included."""
    uncached_prefill_seconds: float | None = None
    """Prefill time per prompt token that was computed."""
    decode_seconds: float | None = None
    """Decode time per generated token."""
    generation_tokens: float | None = None
    """Mean tokens generated for a request."""
