"""Trips to the store that fail: how long they may take, and what happens then."""

import asyncio
import gc

import pytest

from aibrix_mw.errors import StoreRefused
from aibrix_mw.limiting.limiter import SharedLimiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.store import open_windows
from tests.limiting.fake_store import QUOTA, FakeWindows, passed
from tests.limiting.support import take
from tests.support import settle
from tests.virtual_time import in_virtual_time


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


def test_f55_a_store_that_hangs_adds_50_ms_and_then_nothing():
    """On a clock that nobody holds up: five requests wait for the whole time, the others do not ask."""

    async def waits():
        store, loop = FakeWindows(), asyncio.get_running_loop()
        store.hold = asyncio.Event()
        limiter = SharedLimiter(store, MemoryWindows(open_windows().storage), clock=loop.time)
        seconds = []
        for _ in range(100):
            began = loop.time()
            await take(limiter, QUOTA)
            seconds.append(loop.time() - began)
        await limiter.aclose()
        return seconds

    seconds = in_virtual_time(waits())
    assert seconds[:5] == pytest.approx([0.05] * 5)
    assert seconds[5:] == [0.0] * 95


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


def test_nothing_is_left_behind():
    gc.collect()
    assert not [task for task in gc.get_objects() if isinstance(task, asyncio.Task) and not task.done()]
