"""Looks at a step of load while it is under way: how it goes, and whether to go on."""

from collections.abc import Sequence

from aibrix_mw.sizing.client import Flight
from aibrix_mw.sizing.orders import Load, Progress
from aibrix_mw.sizing.records import UNFINISHED, quantile

LATE = 0.3
"""More late answers than this share of all that count: nothing that follows can make the step sustainable."""
ERRORS = 0.05
AT_LEAST = 20
"""... but so many at least, since a few say little."""
MOST_IN_FLIGHT = 10_000


class Watch:
    """`stopped` says why a step was ended before its time."""

    def __init__(self, order: Load, start: float) -> None:
        self.progress = Progress(0.0)
        self.stopped: str | None = None
        self._order = order
        self._start = start

    def over(self, flights: Sequence[Flight], now: float) -> bool:
        """Look at all requests so far; whether the step is over at this instant."""
        order, seconds = self._order, now - self._start
        counted = [flight for flight in flights if order.plan.counts(flight.due - self._start)]
        in_flight = sum(flight.ended is None for flight in flights)
        errors = sum(flight.error not in ("", UNFINISHED) for flight in counted)
        first = [flight.stream.first - flight.sent for flight in counted if flight.stream.first is not None]
        self.progress = Progress(
            max(seconds, 0.0), in_flight, len(flights) - in_flight, errors, quantile(first, 0.95) if first else None
        )
        late = max(sum(time > order.bounds.first_token for time in first), self._slow(counted))
        if late > max(LATE * order.plan.requests, AT_LEAST):
            self.stopped = "late"
        elif errors > max(ERRORS * order.plan.requests, AT_LEAST):
            self.stopped = "errors"
        elif in_flight > MOST_IN_FLIGHT:
            self.stopped = "in_flight"
        answered = seconds >= order.plan.warm_up + order.plan.measured and all(
            flight.ended is not None for flight in counted
        )
        return self.stopped is not None or answered or seconds >= order.plan.seconds + order.drain

    def _slow(self, counted: Sequence[Flight]) -> int:
        """Answers that have ended and took too long between their tokens."""
        bound = self._order.bounds.per_token
        return sum(
            (stream.last - stream.first) > bound * (stream.tokens - 1)
            for flight in counted
            if (stream := flight.stream).first is not None and stream.last is not None and flight.ended is not None
        )
