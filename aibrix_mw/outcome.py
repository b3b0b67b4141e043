"""How a request ended."""

import msgspec


class FailedAttempt(msgspec.Struct, frozen=True):
    """One try on one pod that gave no answer: the pod's name and the UpstreamError's reason."""

    pod: str
    reason: str


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
