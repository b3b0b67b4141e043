"""How a request went: its attempts and its end."""

import msgspec


class FailedAttempt(msgspec.Struct, frozen=True):
    """One try on one pod that gave no answer: the pod, the UpstreamError's reason, seconds from pick to failure."""

    pod: str
    reason: str
    seconds: float = 0.0


class Attempt(msgspec.Struct, frozen=True):
    """One try on a pod, and which ones have failed so far; at the end, itself included.

    `number` counts from 1. `started` is when routing started, by the event loop's clock: timers run over all attempts.
    `picked` is when the pod was chosen, by `time.perf_counter`; `pick_seconds` is what the strategy took.
    """

    number: int
    started: float
    picked: float = 0.0
    pick_seconds: float = 0.0
    failed: tuple[FailedAttempt, ...] = ()


NOTHING_TO_TRANSFER = "nothing_to_transfer"
"""Reason of a prefill leg whose pod has answered and keeps nothing: its answer ended with the first token."""

_NO_FAULT = frozenset({None, "left", "rejected", NOTHING_TO_TRANSFER})


class Prefill(msgspec.Struct, frozen=True):
    """One prefill leg that has ended: the pod's name, from when until when by `time.perf_counter`, why it failed.

    `reason` is None where it did not; `left` is that of a leg whose client went away, or whose decode leg failed;
    `rejected` that of a request that the engine finds wrong.
    """

    pod: str
    started: float
    ended: float
    reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the leg failed for a fault of the pod's."""
        return self.reason not in _NO_FAULT


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended; times are seconds by `time.perf_counter`, 0 where it did not come so far.

    `name` is `ok`, the outcome of a refusal, `engine_error`, `stream_truncated` or `client_cancelled`; `reason` is why
    an answer was truncated. Tokens are the engine's own count, None where it gave none. `requested_model` is one that
    nothing serves.
    """

    name: str
    status: int
    sent: float = 0.0
    first_byte: float = 0.0
    last_byte: float = 0.0
    reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    requested_model: str | None = None
