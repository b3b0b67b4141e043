"""Trips to the store: how many, and who shares them."""

import asyncio

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.store import open_limiter
from tests.limiting.fake_store import QUOTA, passed
from tests.limiting.support import HOUR, hourly, take
from tests.support import settle


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


async def test_in_process_there_is_no_store_to_be_away():
    limiter = open_limiter()
    assert (limiter.shared, limiter.away, limiter.store_errors) == (False, None, 0)
    hit = limiter.take_now((hourly(limit=1),))
    assert hit.full is None
    assert hit.reset <= HOUR
    assert (await limiter.take((hourly(limit=1),))).full is not None
