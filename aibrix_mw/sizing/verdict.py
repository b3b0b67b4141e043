"""Whether a step of load is sustainable, and what speaks against it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan

import msgspec

from aibrix_mw.sizing.backlog import Trend, trend
from aibrix_mw.sizing.records import UNFINISHED, Record, Step, quantile

MOST_ERRORS = 0.01
"""Errors have to stay below this share."""
MOST_LATE = 0.05
"""A p95 is above its bound exactly when more than this share of the requests is."""
LIMITED = "status_429"
_PAUSE = 10.0
_PAUSE_SECONDS = 1.0
"""A pause of ten times the bound per token, and of a second at least, is no slow token any more."""
SILENT = ("stalled", "no_answer")
"""Errors of a target that says nothing."""
UNBOUNDED = 1e9
"""No bound, as a number that JSON knows."""


class Bounds(msgspec.Struct, frozen=True):
    """What the p95 of the time to the first token and of the time per further token may be, in seconds."""

    first_token: float = UNBOUNDED
    per_token: float = UNBOUNDED


class Reason(msgspec.Struct, frozen=True):
    """A `limit`, `stall`, `errors`, `first_token`, `per_token` or `backlog` that speaks against a rate; a sentence."""

    kind: str
    text: str


class Figures(msgspec.Struct, frozen=True):
    """What was seen of the requests that count; times in seconds, nan (null in JSON) where there are none.

    `requests_per_second` and `tokens_per_second` are what was completed in the measured part, whenever it had come, an
    answer's tokens at its end. With `cut` the step ended before its time: the times of the slowest are lower bounds.
    """

    requests: int
    errors: int
    first_p50: float | None
    first_p95: float | None
    token_p50: float | None
    token_p95: float | None
    requests_per_second: float
    tokens_per_second: float
    prompt_tokens: float
    output_tokens: float
    in_flight: float
    growth: float
    late: float
    cut: bool


class Verdict(msgspec.Struct, frozen=True):
    """On one rate; the first reason is the one to name. `late`: one entry a step, which answers were late, in order."""

    rate: float
    figures: Figures
    reasons: tuple[Reason, ...] = ()
    late: tuple[tuple[bool, ...], ...] = ()

    @property
    def sustainable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def judge(steps: Sequence[Step], bounds: Bounds) -> Verdict:
    """The verdict on one or more steps at the same rate, taken together."""
    counted = [list(step.counted()) for step in steps]
    requests = [record for records in counted for record in records]
    trends = [trend(step) for step in steps]
    late = max(_late(counted, bounds), key=_share)
    against = [*_failures(requests), *_silent(requests, bounds), *_slow(requests, bounds), *_growing(trends)]
    answered = _first_tokens([record for record in requests if record.first is not None])
    if quantile(answered, 0.5) > bounds.first_token:
        against.sort(key=lambda reason: reason.kind == "stall")  # when most wait too long, so do those that gave up
    reasons = tuple(against)
    return Verdict(steps[0].plan.rate, _figures(steps, requests, trends, _share(late)), reasons, late)


def _late(counted: Sequence[Sequence[Record]], bounds: Bounds) -> list[tuple[tuple[bool, ...], ...]]:
    """Which answers came too late, once by their first token and once by the further ones."""
    times = [(_first_tokens, bounds.first_token), (_per_tokens, bounds.per_token)]
    return [tuple(tuple(value > bound for value in take(records)) for records in counted) for take, bound in times]


def _first_tokens(records: Sequence[Record]) -> list[float]:
    return [value for record in records if not record.failed and (value := record.first_token) is not None]


def _per_tokens(records: Sequence[Record]) -> list[float]:
    return [value for record in records if not record.failed and (value := record.per_token) is not None]


def _share(late: tuple[tuple[bool, ...], ...]) -> float:
    count = sum(map(len, late))
    return sum(map(sum, late)) / count if count else 0.0


def _failures(requests: Sequence[Record]) -> Iterator[Reason]:
    kinds = Counter(record.error for record in requests if record.failed)
    failed = sum(kinds.values())
    if not requests or failed < MOST_ERRORS * len(requests):
        return
    worst = max(kinds, key=kinds.__getitem__)
    kind, what = ("limit", "were refused") if worst == LIMITED else ("errors", "failed")
    if worst in SILENT:
        kind, what = "stall", "stalled"
    detail = next(record.detail for record in requests if record.error == worst)
    others = f"; {failed - kinds[worst]} failed otherwise" if failed > kinds[worst] else ""
    yield Reason(kind, f"{100 * kinds[worst] / len(requests):.1f} % of the requests {what}: {detail or worst}{others}")


def _silent(requests: Sequence[Record], bounds: Bounds) -> Iterator[Reason]:
    """Answers that had stopped in the middle when their step was cut: those behind them may only seem slow."""
    patience = max(_PAUSE * bounds.per_token, _PAUSE_SECONDS)
    cut = [one for one in requests if one.error == UNFINISHED and one.last is not None]
    silent = sum(one.last is not None and one.ended - one.last > patience for one in cut)
    if silent >= MOST_ERRORS * len(requests) and silent:
        share = 100 * silent / len(requests)
        yield Reason("stall", f"{share:.1f} % of the requests stalled: no token for {patience:.3g} s in mid-answer")


def _slow(requests: Sequence[Record], bounds: Bounds) -> Iterator[Reason]:
    for kind, name, values, bound in (
        ("first_token", "first token", _first_tokens(requests), bounds.first_token),
        ("per_token", "time per output token", _per_tokens(requests), bounds.per_token),
    ):
        p95 = quantile(values, 1 - MOST_LATE)
        if p95 > bound:
            yield Reason(kind, f"{name} p95 {p95:.3g} s is above its bound of {bound:.3g} s")


def _growing(trends: Sequence[Trend]) -> Iterator[Reason]:
    for found in trends:
        if found.grows:
            yield Reason(
                "backlog", f"the backlog grows: {found.growth:.0f} more requests in flight at the end of a step"
            )
            return


def _figures(steps: Sequence[Step], requests: Sequence[Record], trends: Sequence[Trend], late: float) -> Figures:
    complete = [record for record in requests if not record.error]
    seconds = sum(min(step.plan.measured, max(step.seconds - step.plan.warm_up, 0.0)) for step in steps)
    ended = [record for step in steps for record in step.records if not record.error and step.plan.counts(record.ended)]
    first, token = _first_tokens(requests), _per_tokens(requests)
    return Figures(
        requests=len(requests),
        errors=sum(record.failed for record in requests),
        first_p50=_known(quantile(first, 0.5)),
        first_p95=_known(quantile(first, 0.95)),
        token_p50=_known(quantile(token, 0.5)),
        token_p95=_known(quantile(token, 0.95)),
        requests_per_second=len(ended) / seconds if seconds else 0.0,
        tokens_per_second=sum(record.tokens for record in ended) / seconds if seconds else 0.0,
        prompt_tokens=_mean([record.prompt_tokens for record in complete]),
        output_tokens=_mean([record.tokens for record in complete]),
        in_flight=_mean([found.mean for found in trends]),
        growth=max((found.growth for found in trends), default=0.0),
        late=late,
        cut=any(record.error == UNFINISHED for record in requests),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _known(value: float) -> float | None:
    return None if isnan(value) else value
