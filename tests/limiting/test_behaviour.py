"""What every store promises: exactly so many, all or nothing, and giving back into the same window."""

import asyncio
from collections import Counter

import pytest

from aibrix_mw.limiting.quota import Quota
from tests.limiting.support import HOUR, hourly, take, used


async def test_exactly_the_limit_passes(limiter):
    quota = hourly(limit=100)
    hits = await asyncio.gather(*(take(limiter, quota) for _ in range(250)))
    assert sum(hit.full is None for hit in hits) == 100
    assert await used(limiter, quota) == 100


async def test_each_hit_knows_what_is_left(limiter):
    quota = hourly(limit=3)
    hits = await asyncio.gather(*(take(limiter, quota) for _ in range(5)))
    assert [hit.remaining for hit in hits] == [2, 1, 0, 0, 0]
    assert [hit.full for hit in hits] == [None, None, None, quota, quota]
    assert all(0 < hit.reset <= HOUR and hit.tightest == quota for hit in hits)


async def test_a_refused_hit_takes_nothing(limiter):
    """F61."""
    quota = hourly(limit=10)
    hits = [await take(limiter, quota) for _ in range(1000)]
    assert sum(hit.full is None for hit in hits) == 10
    assert await used(limiter, quota) == 10
    assert (await take(limiter, hourly(limit=11))).full is None


async def test_two_quotas_are_taken_together_or_not_at_all(limiter):
    profile, model = hourly("{m}:profile", 3), hourly("{m}:model", 5)
    for _ in range(4):
        await take(limiter, profile, model)
    assert (await used(limiter, profile), await used(limiter, model)) == (3, 3)
    other = hourly("{m}:other", 10)
    hits = [await take(limiter, other, model) for _ in range(3)]
    assert [hit.full for hit in hits] == [None, None, model]
    assert (await used(limiter, other), await used(limiter, model)) == (2, 5)


async def test_the_tightest_quota_is_named(limiter):
    narrow, wide = hourly("{m}:narrow", 2), hourly("{m}:wide", 9)
    hit = await take(limiter, wide, narrow)
    assert (hit.tightest, hit.remaining) == (narrow, 1)


async def test_profiles_of_eighty_under_a_model_of_a_hundred(limiter):
    model = hourly("{m}:model", 100)
    profiles = [hourly("{m}:a", 80), hourly("{m}:b", 80)]
    hits = await asyncio.gather(*(take(limiter, profiles[i % 2], model) for i in range(400)))
    passed = Counter(hit.quotas[0].key for hit in hits if hit.full is None)
    assert passed.total() == 100
    assert all(count <= 80 for count in passed.values())


async def test_profiles_do_not_starve_each_other(limiter):
    """The production guide's example: interactive 100 and batch 20, both saturated."""
    interactive, batch = hourly("{m}:interactive", 100), hourly("{m}:batch", 20)
    hits = await asyncio.gather(*(take(limiter, quota) for _ in range(300) for quota in (batch, interactive)))
    assert Counter(hit.quotas[0].key for hit in hits if hit.full is None) == {"{m}:interactive": 100, "{m}:batch": 20}


async def test_what_is_given_back_can_be_taken_again(limiter):
    quota = hourly(limit=1)
    for _ in range(5):
        hit = await take(limiter, quota)
        assert hit.full is None
        await limiter.give(hit)
        assert await used(limiter, quota) == 0


async def test_giving_back_after_the_window_was_seen_full(limiter):
    quota = hourly(limit=1)
    hit = await take(limiter, quota)
    assert (await take(limiter, quota)).full is quota
    await limiter.give(hit)
    assert (await take(limiter, quota)).full is None


async def test_never_below_zero(limiter):
    """F62."""
    quota = hourly(limit=5)
    hit = await take(limiter, quota)
    for _ in range(3):
        await limiter.give(hit)
    assert await used(limiter, quota) == 0
    assert sum([(await take(limiter, quota)).full is None for _ in range(10)]) == 5


@pytest.mark.parametrize("away", [-1, 1])
async def test_another_window_gets_nothing_back(limiter, away):
    """F62: the window has rolled over between hit and refund."""
    quota = hourly(limit=5)
    hit = await take(limiter, quota)
    hit.windows = (hit.windows[0] + away,)
    await limiter.give(hit)
    assert await used(limiter, quota) == 1


async def test_nothing_was_taken_so_nothing_is_given_back(limiter):
    quota = hourly(limit=1)
    await take(limiter, quota)
    await limiter.give(await take(limiter, quota))
    assert await used(limiter, quota) == 1


async def test_costs_and_corrections(limiter):
    """As tokens are counted: an estimate is reserved, and corrected by what was used."""
    requests, tokens = hourly("{u}:rpm", 10), hourly("{u}:tpm", 100, cost=60)
    hit = await take(limiter, requests, tokens)
    assert (hit.tightest, hit.remaining) == (tokens, 0)
    assert (await take(limiter, requests, tokens)).full is tokens
    await limiter.give(hit, (0, 50))
    assert (await used(limiter, requests), await used(limiter, tokens)) == (1, 10)
    hit = await take(limiter, requests, tokens)
    await limiter.give(hit, (0, -80))
    assert (await used(limiter, requests), await used(limiter, tokens)) == (2, 150)
    assert (await take(limiter, requests, tokens)).full == tokens


async def test_a_limit_that_changes_applies_to_the_same_count(limiter):
    """F65."""
    for _ in range(5):
        await take(limiter, hourly(limit=5))
    assert (await take(limiter, hourly(limit=5))).full is not None
    assert (await take(limiter, hourly(limit=6))).full is None
    assert (await take(limiter, hourly(limit=2))).full is not None


async def test_windows_of_another_length_have_counts_of_their_own(limiter):
    assert (await take(limiter, Quota("k", 1, HOUR))).full is None
    assert (await take(limiter, Quota("k", 1, HOUR / 2))).full is None
