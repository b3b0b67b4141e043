"""How full limits are: looked at, not taken."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aibrix_mw.limiting.limiter import Limiter, SharedLimiter, share_of
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Quota, Quotas


class Level(NamedTuple):
    """A quota in the window of now: units `used`, and seconds until the window ends."""

    quota: Quota
    used: int
    resets: float

    @property
    def left(self) -> int:
        """Units that may still be taken."""
        return max(0, self.quota.limit - self.used)

    @property
    def full(self) -> bool:
        """Whether one more hit would be refused."""
        return self.left < self.quota.cost


class Levels(NamedTuple):
    """The levels of groups of quotas. `by` says who counts: `process`, `store`, or `nobody`, and then there are none.

    `why` is the reason where that is not who should.
    """

    by: str
    groups: list[tuple[Level, ...]]
    why: str | None = None


async def levels(limiter: Limiter | SharedLimiter, groups: Sequence[Quotas]) -> Levels:
    """Look at quotas where the limiter would take them now; waits no longer than a request would."""
    if isinstance(limiter, Limiter):
        return Levels("process", [_in_process(limiter.windows, quotas) for quotas in groups])
    if limiter.away is None and groups:
        try:
            async with asyncio.timeout(limiter.timeout):
                taken = await limiter.windows.take([(quotas, 0) for quotas in groups])
        except Exception as error:  # noqa: BLE001 - whatever a client library raises
            return Levels("nobody", [], f"the store: {str(error) or type(error).__name__}")
        counted = zip(groups, taken, strict=True)
        return Levels("store", [_levels(quotas, result.counts, result.now) for quotas, result in counted])
    if limiter.away is not None and limiter.on_error != "local":
        return Levels("nobody", [], limiter.away)
    gateways = max(1, limiter.live_gateways())
    shares = [tuple(share_of(quota, gateways) for quota in quotas) for quotas in groups]
    return Levels("process", [_in_process(limiter.local, quotas) for quotas in shares], limiter.away)


def _in_process(windows: MemoryWindows, quotas: Quotas) -> tuple[Level, ...]:
    return _levels(quotas, *windows.look(quotas))


def _levels(quotas: Quotas, counts: Sequence[int], now: float) -> tuple[Level, ...]:
    return tuple(
        Level(quota, count, (now // quota.per + 1) * quota.per - now)
        for quota, count in zip(quotas, counts, strict=True)
    )
