"""What is known of requests and of steps of load."""

from collections.abc import Iterator, Sequence
from math import ceil

import msgspec

from aibrix_mw.sizing.schedule import Plan

UNFINISHED = "unfinished"
"""The error of a request that was cut because its step was over; it is nobody's failure."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One request; instants in seconds since the start of its step.

    `first` and `last` are those of the first and the last token so far, None before there is one. `error` is empty for
    a complete answer, else what went wrong (`client` lists them), and `detail` is a sentence about that.
    """

    due: float
    sent: float
    ended: float
    first: float | None = None
    last: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    error: str = ""
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether the target failed the request."""
        return self.error not in ("", UNFINISHED)

    @property
    def first_token(self) -> float | None:
        """Seconds from sending to the first token; of a request that was cut before it, those that it waited."""
        if self.first is not None:
            return self.first - self.sent
        return self.ended - self.sent if self.error == UNFINISHED else None

    @property
    def per_token(self) -> float | None:
        """Seconds per output token after the first; None with fewer than two."""
        if self.first is None or self.last is None or self.tokens < 2:
            return None
        return (self.last - self.first) / (self.tokens - 1)


class Punctuality(msgspec.Struct, frozen=True):
    """How well the load generator did its own part.

    `late_p95`: seconds from the instant at which a request was due to the one at which it was sent. `cpu`: share of one
    core that the generator used.
    """

    late_p95: float = 0.0
    cpu: float = 0.0


class Step(msgspec.Struct, frozen=True):
    """One step of load as it went, `seconds` long.

    `stopped` says why it was ended early: `late`, `errors` or `in_flight`; None when it was not.
    """

    plan: Plan
    records: Sequence[Record]
    seconds: float
    punctuality: Punctuality = Punctuality()
    stopped: str | None = None

    def counted(self) -> Iterator[Record]:
        """The requests that count."""
        return (record for record in self.records if self.plan.counts(record.due))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at most the rest (1 - `share`) of the values exceeds; nan of none.

    So a p95 is within a bound exactly when at most 5 % of the values are above it.
    """
    if not values:
        return float("nan")
    return sorted(values)[max(ceil(share * len(values) - 1e-9) - 1, 0)]
