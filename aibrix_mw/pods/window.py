"""From an engine's counters, which only ever grow, to what happened within the last minute."""

from collections import deque
from collections.abc import Mapping

import msgspec

from aibrix_mw.pods.engine_metrics import WINDOW, EngineMetrics

STEP = 5.0
"""Seconds between two marks: how exactly the window's beginning is known."""


class Increases:
    """How much each counter has grown within the last `window` seconds.

    A counter that falls has been reset: it then counts from 0. One that appears later counts from there.
    """

    def __init__(self, window: float = WINDOW, step: float = STEP) -> None:
        self.window = window
        self.step = step
        self._last: dict[str, float] = {}
        self._totals: dict[str, float] = {}
        self._marks: deque[tuple[float, dict[str, float]]] = deque()
        self.span = 0.0

    def add(self, values: Mapping[str, float], now: float) -> None:
        """Take a reading."""
        for name, value in values.items():
            last = self._last.get(name, value)
            self._totals[name] = self._totals.get(name, 0.0) + (value - last if value >= last else value)
            self._last[name] = value
        if not self._marks or now - self._marks[-1][0] >= self.step:
            self._marks.append((now, dict(self._totals)))
        while len(self._marks) > 1 and self._marks[1][0] <= now - self.window:
            self._marks.popleft()
        self.span = now - self._marks[0][0]

    def of(self, name: str) -> float | None:
        """The increase within the window; None for a counter that was never seen."""
        total = self._totals.get(name)
        return None if total is None else total - self._marks[0][1].get(name, 0.0)

    def ratio(self, numerator: str, denominator: str) -> float | None:
        """One increase by another; None when either is unknown or the latter did not grow."""
        above, below = self.of(numerator), self.of(denominator)
        return None if above is None or not below else above / below

    def rate(self, name: str) -> float | None:
        """Increase per second."""
        increase = self.of(name)
        return None if increase is None or self.span <= 0 else increase / self.span


class EngineHistory:
    """One engine's readings, and what follows from them.

    `gauges` and `counters` are by the quantities of `engine_names`; a histogram gives two counters, `NAME.sum` and
    `NAME.count`. `before` is the last word of who has read the engine until now.
    """

    def __init__(self, before: EngineMetrics | None = None) -> None:
        self.counters = Increases()
        self.before = before
        self._busy = 0.0
        self._read_at: float | None = None

    def add(
        self, gauges: Mapping[str, float], counters: Mapping[str, float], now: float, expires: float
    ) -> EngineMetrics:
        """Take a reading of the moment `now`; the result counts until `expires`."""
        running = gauges.get("running")
        if running is not None and running > 0 and self._read_at is not None:
            self._busy += now - self._read_at
        self._read_at = now
        self.counters.add(counters if running is None else {**counters, "busy": self._busy}, now)
        window = self.counters
        own = self._report(gauges, window, expires)
        if self.before is None or window.span >= window.window:
            self.before = None
            return own
        return _continued(self.before, own, window.span / window.window)

    @staticmethod
    def _report(gauges: Mapping[str, float], window: Increases, expires: float) -> EngineMetrics:
        return EngineMetrics(
            expires=expires,
            running=gauges.get("running"),
            waiting=gauges.get("waiting"),
            kv_cache_usage=gauges.get("kv_cache_usage"),
            gpu_cache_usage=gauges.get("gpu_cache_usage"),
            cpu_cache_usage=gauges.get("cpu_cache_usage"),
            gpu_busy_ratio=gauges.get("gpu_busy_ratio"),
            busy_share=window.rate("busy"),
            prompt_tokens_rate=window.rate("prompt_tokens"),
            generation_tokens_rate=_either(window.rate("generation_tokens"), gauges.get("generation_rate")),
            queue_seconds=_queue(window),
            prefill_seconds=_prefill(window, cached=True),
            uncached_prefill_seconds=_prefill(window, cached=False),
            decode_seconds=_either(
                window.ratio("decode.sum", "answer_length.sum"), window.ratio("output_token.sum", "output_token.count")
            ),
            generation_tokens=_either(
                window.ratio("answer_length.sum", "answer_length.count"),
                window.ratio("generation_tokens", "request.count"),
            ),
        )


_WINDOWED = (
    "busy_share",
    "prompt_tokens_rate",
    "generation_tokens_rate",
    "queue_seconds",
    "prefill_seconds",
    "uncached_prefill_seconds",
    "decode_seconds",
    "generation_tokens",
)


def _continued(before: EngineMetrics, own: EngineMetrics, covered: float) -> EngineMetrics:
    """What our readings say of a share of the window; for the rest of it stands what was said before them."""
    changes: dict[str, float | None] = {}
    for field in _WINDOWED:
        old, new = getattr(before, field), getattr(own, field)
        both = old is not None and new is not None
        changes[field] = old + (new - old) * covered if both else _either(new, old)
    return msgspec.structs.replace(own, **changes)


def _either(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _queue(window: Increases) -> float | None:
    """Mean queue time; 0 where an engine only tells the time to the first token, which `_prefill` then takes whole."""
    if window.of("queue.sum") is None:
        return 0.0 if window.of("first_token.count") else None
    return window.ratio("queue.sum", "queue.count")


def _prefill(window: Increases, *, cached: bool) -> float | None:
    """Prefill seconds per prompt token, of all tokens or only of those that were not in the cache."""
    seconds = window.of("prefill.sum")
    if seconds is None:
        first_token = window.of("first_token.sum")
        seconds = None if first_token is None else max(0.0, first_token - (window.of("queue.sum") or 0.0))
    tokens = _either(window.of("prompt_length.sum"), window.of("prompt_tokens"))
    if not cached and tokens is not None:
        hits = window.of("cache_hits")
        tokens = None if hits is None else tokens - hits
    return None if seconds is None or tokens is None or tokens <= 0 else seconds / tokens
