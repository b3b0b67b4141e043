"""How a request went: its attempts and its end."""

import msgspec


class FailedAttempt(msgspec.Struct, frozen=True):
    """One try on one pod that gave no answer: the pod's name and the UpstreamError's reason."""

    pod: str
    reason: str


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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended; times are seconds by `time.perf_counter`, 0 where it did not come so far.

    `name` is `ok`, the outcome of a refusal, `engine_error`, `stream_truncated` or `client_cancelled`; `reason` is why
    an answer was truncated. Tokens are the engine's own count, None where it gave none.
    """

    name: str
    status: int
    sent: float = 0.0
    first_byte: float = 0.0
    last_byte: float = 0.0
    reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
