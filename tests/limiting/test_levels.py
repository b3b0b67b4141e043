"""How full limits are, over every store."""

import asyncio
from contextlib import nullcontext

import pytest

from aibrix_mw.errors import StoreRefused
from aibrix_mw.limiting.levels import levels
from aibrix_mw.limiting.limiter import SharedLimiter
from aibrix_mw.limiting.store import open_limiter
from tests.limiting.support import hourly, take, used


async def test_looking_takes_nothing(limiter):
    mine, other = hourly("a", limit=3), hourly("b", limit=5, cost=2)
    await take(limiter, mine)
    for _ in range(3):
        found = await levels(limiter, [(mine, other), (other,)])
    assert found.by == ("store" if isinstance(limiter, SharedLimiter) else "process")
    ((first, second), (third,)) = found.groups
    assert [(level.used, level.left, level.full) for level in (first, second, third)] == [
        (1, 2, False),
        (0, 5, False),
        (0, 5, False),
    ]
    assert 0 < first.resets <= 3600
    assert [await used(limiter, quota) for quota in (mine, other)] == [1, 0]


async def test_full_is_what_has_no_room_for_one_more(limiter):
    quota = hourly("c", limit=3, cost=2)
    await take(limiter, quota)
    ((level,),) = (await levels(limiter, [(quota,)])).groups
    assert (level.left, level.full) == (1, True)


async def test_a_store_that_is_away():
    limiter = open_limiter("redis://127.0.0.1:1", timeout=1.0, live_gateways=lambda: 2)
    found = await levels(limiter, [(hourly(),)])
    assert (found.by, found.groups) == ("nobody", [])
    assert found.why.startswith("the store: ")
    await limiter.start()  # and sees that it is away
    await take(limiter, hourly())
    found = await levels(limiter, [(hourly(limit=9),)])
    assert (found.by, found.groups[0][0].quota.limit, found.groups[0][0].used) == ("process", 5, 1)
    assert found.why
    await limiter.aclose()


@pytest.mark.parametrize("policy", ["open", "refuse"])
async def test_where_nobody_counts(policy):
    limiter = open_limiter("redis://127.0.0.1:1", timeout=1.0, on_error=policy)
    await limiter.start()
    with pytest.raises(StoreRefused) if policy == "refuse" else nullcontext():
        await take(limiter, hourly())
    found = await levels(limiter, [(hourly(),)])
    assert (found.by, found.groups) == ("nobody", [])
    await limiter.aclose()


async def test_a_store_that_hangs(monkeypatch):
    stuck = open_limiter("redis://127.0.0.1:1", timeout=0.01)
    monkeypatch.setattr(stuck.windows, "take", lambda _: asyncio.sleep(60))
    found = await levels(stuck, [(hourly(),)])
    assert found.why == "the store: TimeoutError"
    await stuck.aclose()


async def test_no_quotas():
    assert (await levels(open_limiter(), [])).groups == []
    assert (await levels(open_limiter("redis://127.0.0.1:1"), [])).groups == []
