"""Trips to the store: how many, how long, and what happens when they fail."""

import asyncio
import gc

import pytest

from aibrix_mw.errors import StoreRefused
from aibrix_mw.limiting.limiter import SharedLimiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.redis import Taken
from aibrix_mw.limiting.store import open_windows
from tests.limiting.support import HOUR, hourly, take
from tests.support import Clock, settle


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


@pytest.fixture
def store():
    return FakeWindows()


@pytest.fixture
def sleeper():
    return Sleeper()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def make(store, sleeper, clock):
    """Makes limiters over the fake store; the clock of what is counted in process stands still."""
    made = []

    def over_fake(on_error="local", **options):
        local = MemoryWindows(open_windows().storage, clock=clock)
        limiter = SharedLimiter(store, local, on_error=on_error, clock=clock, sleep=sleeper, **options)
        made.append(limiter)
        return limiter

    yield over_fake
    for limiter in made:
        await limiter.aclose()


QUOTA = Quota("{m}:p", 100)


async def passed(limiter, times, quota=QUOTA):
    hits = await asyncio.gather(*(take(limiter, quota) for _ in range(times)))
    return sum(hit.full is None for hit in hits)


# --- trips


async def test_one_turn_of_the_loop_makes_one_trip(make, store):
    limiter = make()
    assert await passed(limiter, 250) == 100
    assert store.trips == [[250]]


async def test_windows_of_one_turn_share_a_trip(make, store):
    limiter = make()
    await asyncio.gather(*(take(limiter, Quota(f"{{m}}:{i % 3}", 100)) for i in range(30)))
    assert store.trips == [[10, 10, 10]]


async def test_who_asks_during_a_trip_goes_with_the_next(make, store):
    limiter = make()
    store.hold = asyncio.Event()
    first = asyncio.ensure_future(limiter.take((QUOTA,)))
    await settle()
    others = [asyncio.ensure_future(limiter.take((QUOTA,))) for _ in range(7)]
    await settle()
    assert store.trips == [[1]]
    store.hold.set()
    await asyncio.gather(first, *others)
    assert store.trips == [[1], [7]]


async def test_first_come_first_served(make):
    limiter = make()
    hits = await asyncio.gather(*(limiter.take((Quota("k", 3),)) for _ in range(5)))
    assert [hit.full is None for hit in hits] == [True, True, True, False, False]
    assert [hit.remaining for hit in hits] == [2, 1, 0, 0, 0]
    assert {hit.reset for hit in hits} == {0.75}


async def test_a_full_window_is_not_asked_again(make, store, clock):
    """F64."""
    limiter = make()
    assert await passed(limiter, 10_000) == 100
    assert await passed(limiter, 10_000) == 0
    assert len(store.trips) == 1
    hit = limiter.take_now((QUOTA,))
    assert (hit.full, hit.remaining, hit.reset) == (QUOTA, 0, 0.75)
    clock.now += 0.75
    assert limiter.take_now((QUOTA,)) is None
    store.counts.clear()
    assert await passed(limiter, 10) == 10


async def test_a_raised_limit_is_asked_for(make):
    limiter = make()
    await passed(limiter, 101)
    assert limiter.take_now((QUOTA,)) is not None
    assert limiter.take_now((Quota(QUOTA.key, 101),)) is None


async def test_windows_that_have_ended_are_forgotten(make, clock):
    limiter = make()
    await asyncio.gather(*(take(limiter, Quota(str(i), 0)) for i in range(1024)))
    clock.now += 2
    await take(limiter, Quota("k", 0))
    assert len(limiter._full) == 1


async def test_who_leaves_while_waiting_takes_nothing(make, store):
    limiter = make()
    store.hold = asyncio.Event()
    asked = [asyncio.ensure_future(take(limiter, QUOTA)) for _ in range(3)]
    await settle()
    asked[1].cancel()
    store.hold.set()
    await asyncio.wait(asked)
    await settle()
    assert store.counts[QUOTA.name] == 2
    assert [(gift.quota, gift.amount) for gift in store.gifts] == [(QUOTA, 1)]


async def test_gifts_of_one_turn_share_a_trip(make, store):
    limiter = make()
    hits = await asyncio.gather(*(take(limiter, QUOTA) for _ in range(5)))
    await asyncio.gather(*(limiter.give(hit) for hit in hits))
    assert store.counts[QUOTA.name] == 0
    assert len(store.gifts) == 5


# --- failures


@pytest.mark.parametrize(("on_error", "expected"), [("local", {True: 25, False: 175}), ("open", {True: 200, False: 0})])
async def test_the_policy_decides(make, store, on_error, expected):
    """F55: of four gateways each lets a quarter pass."""
    limiter = make(on_error, live_gateways=lambda: 4)
    store.error = ConnectionError("refused")
    hits = [await take(limiter, QUOTA) for _ in range(200)]
    assert {verdict: sum((hit.full is None) is verdict for hit in hits) for verdict in (True, False)} == expected
    assert limiter.store_errors == 200
    assert len(store.trips) == 5


async def test_a_share_is_rounded_up(make, store):
    limiter = make(live_gateways=lambda: 3)
    store.error = ConnectionError()
    assert await passed(limiter, 50) == 34


async def test_refused(make, store):
    limiter = make("refuse")
    store.error = ConnectionError()
    for _ in range(7):
        with pytest.raises(StoreRefused) as refused:
            await take(limiter, QUOTA)
    assert refused.value.outcome == "store_refused"
    assert limiter.store_errors == 7


async def test_open_is_not_counted(make, store):
    limiter = make("open")
    store.error = ConnectionError()
    hit = await take(limiter, QUOTA)
    assert hit.tightest is None
    await limiter.give(hit)


async def test_what_was_counted_here_is_given_back_here(make, store):
    limiter = make()
    store.error = ConnectionError()
    for _ in range(200):
        hit = await take(limiter, QUOTA)
        assert hit.full is None
        await limiter.give(hit)


async def test_what_the_store_does_not_hear_is_lost(make, store):
    limiter = make()
    hit = await take(limiter, QUOTA)
    store.error = ConnectionError()
    await limiter.give(hit)
    for _ in range(5):
        await take(limiter, QUOTA)
    assert limiter.away
    await limiter.give(hit)
    assert store.gifts == []


async def test_nobody_waits_longer_than_the_timeout(make, store):
    """Those who wait for a trip that hangs wait from when they came, not from when their own trip starts."""
    limiter = make(timeout=0.05)
    limiter.clock = asyncio.get_running_loop().time
    store.hold = asyncio.Event()
    began = limiter.clock()
    hits = [asyncio.ensure_future(limiter.take((QUOTA,)))]
    await settle()
    hits += [asyncio.ensure_future(limiter.take((QUOTA,))) for _ in range(50)]
    await asyncio.wait(hits)
    assert limiter.clock() - began < 0.1 + 0.05  # two trips one after the other would take 0.1 at least
    assert all(hit.result().counter is limiter.local for hit in hits)


async def test_a_hanging_store_opens_the_breaker(make, store, log):
    limiter = make(timeout=0.001)
    store.hold = asyncio.Event()
    for _ in range(5):
        assert (await take(limiter, QUOTA)).full is None
    assert limiter.away == "TimeoutError"
    assert log() == ["the store is away (TimeoutError): counting in this process, with its share of each limit"]


async def test_the_breaker_asks_once_every_five_seconds(make, store, sleeper, log):
    """F56."""
    limiter = make()
    store.error = ConnectionError("refused")
    for _ in range(5):
        await take(limiter, QUOTA)
    assert (limiter.away, store.checks) == ("ConnectionError: refused", 0)
    await settle()
    for _ in range(3):
        sleeper.wake.set()
        await settle()
    assert (len(store.trips), store.checks) == (5, 3)
    assert sleeper.asked == [5, 5, 5, 5]
    store.error = None
    sleeper.wake.set()
    await settle(10)
    assert limiter.away is None
    assert (await take(limiter, QUOTA)).counter is store
    assert log() == [
        "the store is away (ConnectionError: refused): counting in this process, with its share of each limit",
        "the store is back",
    ]


async def test_successes_in_between_keep_the_breaker_closed(make, store):
    limiter = make()
    for _ in range(3):
        store.error = ConnectionError()
        for _ in range(4):
            await take(limiter, QUOTA)
        store.error = None
        await take(limiter, QUOTA)
    assert limiter.away is None


async def test_whoever_waits_when_the_breaker_opens_gets_a_verdict_at_once(make, store):
    limiter = make()
    store.error = ConnectionError()
    for _ in range(4):
        await take(limiter, QUOTA)
    store.hold = asyncio.Event()
    first = asyncio.ensure_future(limiter.take((QUOTA,)))
    await settle()
    second = asyncio.ensure_future(limiter.take((QUOTA,)))
    second_left = asyncio.ensure_future(limiter.take((QUOTA,)))
    await settle()
    second_left.cancel()
    store.hold.set()
    assert {(await first).counter, (await second).counter} == {limiter.local}
    assert len(store.trips) == 5


async def test_start_with_a_store_that_is_not_there(make, store, sleeper):
    limiter = make()
    store.error = ConnectionError("refused")
    await limiter.start()
    assert limiter.away == "ConnectionError: refused"
    assert (await take(limiter, QUOTA)).full is None
    assert store.trips == []
    await limiter.aclose()
    assert limiter.away is None
    assert store.closed


async def test_trips_are_timed(make, store):
    times = []
    limiter = make(on_trip=times.append)
    await take(limiter, QUOTA)
    store.error = ConnectionError()
    await take(limiter, QUOTA)
    assert times == [0.0, 0.0]


# --- in process


async def test_in_process_there_is_no_store_to_be_away():
    from aibrix_mw.limiting.store import open_limiter

    limiter = open_limiter()
    assert (limiter.shared, limiter.away, limiter.store_errors) == (False, None, 0)
    hit = limiter.take_now((hourly(limit=1),))
    assert hit.full is None
    assert hit.reset <= HOUR
    assert (await limiter.take((hourly(limit=1),))).full is not None


def test_nothing_is_left_behind():
    gc.collect()
    assert not [task for task in gc.get_objects() if isinstance(task, asyncio.Task) and not task.done()]
