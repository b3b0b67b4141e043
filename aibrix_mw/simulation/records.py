"""What a simulation has seen, and the figures that are made of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """One request that has ended; instants in seconds of virtual time, lengths in tokens."""

    user: str
    gateway: int
    engine: str
    arrived: float
    first: float
    ended: float
    prompt: int
    cached: int
    output: int

    @property
    def wait(self) -> float:
        """Seconds from arrival to the first token."""
        return self.first - self.arrived

    @property
    def per_token(self) -> float | None:
        """Mean seconds from one token to the next; None of a single one."""
        return (self.ended - self.first) / (self.output - 1) if self.output > 1 else None


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Requests in flight at one instant: of the busiest engine, and the mean over the engines that take requests."""

    time: float
    busiest: int
    mean: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one strategy on one workload; seconds, and shares from 0 to 1.

    `token` is the time per output token after the first one. `skew` is the 99th percentile of busiest engine / mean
    engine, over samples with a mean of at least 4 requests in flight (None without such samples). `others` is the 95th
    percentile of first-token time over all users but the one that sent the most tokens. `fairness` is Jain's index over
    the users' mean first-token times: 1 when all wait alike, 1/n when one waits for all (Jain, Chiu, Hawe, DEC-TR-301,
    1984). `busy` is the share of time the engines computed.
    """

    requests: int
    first_p50: float
    first_p95: float
    first_p99: float
    whole_p50: float
    whole_p95: float
    token_p50: float
    token_p99: float
    cache_hits: float
    skew: float | None
    fairness: float
    others: float
    busy: float


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of the values lie, between neighbours in proportion; NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def figures(records: Sequence[Record], samples: Sequence[Sample], busy: float) -> Figures:
    """Sum up; records and samples are those of the time that counts."""
    waits = [record.wait for record in records]
    wholes = [record.ended - record.arrived for record in records]
    skews = [sample.busiest / sample.mean for sample in samples if sample.mean >= 4]
    tokens = [seconds for record in records if (seconds := record.per_token) is not None]
    heaviest = heaviest_user(records)
    return Figures(
        requests=len(records),
        first_p50=percentile(waits, 0.5),
        first_p95=percentile(waits, 0.95),
        first_p99=percentile(waits, 0.99),
        whole_p50=percentile(wholes, 0.5),
        whole_p95=percentile(wholes, 0.95),
        token_p50=percentile(tokens, 0.5),
        token_p99=percentile(tokens, 0.99),
        cache_hits=sum(record.cached for record in records) / max(sum(record.prompt for record in records), 1),
        skew=percentile(skews, 0.99) if skews else None,
        fairness=jain(_mean_waits(records)),
        others=percentile((record.wait for record in records if record.user != heaviest), 0.95),
        busy=busy,
    )


def heaviest_user(records: Iterable[Record]) -> str | None:
    """The user with the most tokens in and out."""
    tokens: defaultdict[str, int] = defaultdict(int)
    for record in records:
        tokens[record.user] += record.prompt + record.output
    return max(tokens, key=lambda user: tokens[user], default=None)


def jain(values: Sequence[float]) -> float:
    """Jain's fairness index; 1 of nothing."""
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else 1.0


def _mean_waits(records: Iterable[Record]) -> list[float]:
    waits: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        waits[record.user].append(record.wait)
    return [sum(values) / len(values) for values in waits.values()]
