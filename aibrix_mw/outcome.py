"""How a request ended."""

import msgspec


class FailedAttempt(msgspec.Struct, frozen=True):
    """One try on one pod that gave no answer: the pod's name and the UpstreamError's reason."""

    pod: str
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended; times are seconds by `time.perf_counter`, 0 where it did not come so far.

    `name` is `ok`, the outcome of a refusal, `engine_error`, `stream_truncated` or `client_cancelled`.
    """

    name: str
    status: int
    sent: float = 0.0
    first_byte: float = 0.0
    last_byte: float = 0.0
