"""How fast a pod answers, as we see it."""

from math import exp

DECAY = 10.0
"""Seconds after which a value that nothing confirms has fallen to 1/e."""

SMALLEST_PROMPT = 16
"""Tokens that an engine computes whatever its cache holds: the last block is never taken from the cache."""


class PeakEwma:
    """An average that believes bad news at once and good news slowly.

    A sample above the average replaces it; one below pulls it down by `1 - exp(-dt / 10 s)`. Without samples it decays
    towards 0, so that a pod which had a bad moment is tried again. Source: Finagle's P2CPeakEwma, tower's PeakEwma.
    """

    __slots__ = ("_at", "_value")

    def __init__(self) -> None:
        self._value: float | None = None
        self._at = 0.0

    def add(self, sample: float, now: float) -> None:
        """Take a sample, seen at `now`."""
        if self._value is None or sample >= self._value:
            self._value = sample
        else:
            weight = exp(-max(0.0, now - self._at) / DECAY)
            self._value = self._value * weight + sample * (1.0 - weight)
        self._at = max(self._at, now)

    def read(self, now: float) -> float | None:
        """The average at `now`; None when there never was a sample."""
        if self._value is None:
            return None
        return self._value * exp(-max(0.0, now - self._at) / DECAY)


class Latency:
    """A pod's speed: seconds to the first token per uncached prompt token, and seconds per output token.

    Never of whole requests: that would mix answers of ten tokens with answers of four thousand.
    """

    __slots__ = ("first_token", "output_token")

    def __init__(self) -> None:
        self.first_token = PeakEwma()
        self.output_token = PeakEwma()

    def saw_first_token(self, seconds: float, uncached_tokens: int, now: float) -> None:
        """A stream's first token came `seconds` after its request was sent."""
        self.first_token.add(seconds / max(uncached_tokens, SMALLEST_PROMPT), now)

    def saw_output(self, seconds: float, tokens: int, now: float) -> None:
        """A stream's further `tokens` came within `seconds` after the first one."""
        if tokens > 0:
            self.output_token.add(seconds / tokens, now)
