"""A store and a sleep in the test's hand."""

import asyncio

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.redis import Taken
from tests.limiting.support import take

QUOTA = Quota("{m}:p", 100)


class FakeWindows:
    """A store in the test's hand: it counts, or fails, or waits for an event before it does."""

    def __init__(self):
        self.trips, self.gifts, self.checks = [], [], 0
        self.counts = {}
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.closed = False

    async def _arrive(self):
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error

    async def take(self, groups):
        self.trips.append([wanted for _, wanted in groups])
        await self._arrive()
        return [self._take(quotas, wanted) for quotas, wanted in groups]

    def _take(self, quotas, wanted):
        counts = tuple(self.counts.get(quota.name, 0) for quota in quotas)
        rooms = [(quota.limit - count) // quota.cost for quota, count in zip(quotas, counts, strict=True)]
        taken = max(0, min(wanted, *rooms))
        for quota, count in zip(quotas, counts, strict=True):
            self.counts[quota.name] = count + taken * quota.cost
        return Taken(taken, tuple(1 for _ in quotas), counts, now=1.25)

    async def give(self, gifts):
        await self._arrive()
        self.gifts += gifts
        for gift in gifts:
            self.counts[gift.quota.name] -= gift.amount

    async def check(self):
        self.checks += 1
        await self._arrive()

    async def aclose(self):
        self.closed = True


class Sleeper:
    """Sleeping that ends when the test says so."""

    def __init__(self):
        self.asked = []
        self.wake = asyncio.Event()

    async def __call__(self, seconds):
        self.asked.append(seconds)
        await self.wake.wait()
        self.wake.clear()


async def passed(limiter, times, quota=QUOTA):
    hits = await asyncio.gather(*(take(limiter, quota) for _ in range(times)))
    return sum(hit.full is None for hit in hits)
