"""Asking limiters, and looking at what they have counted."""

from aibrix_mw.limiting.limiter import Limiter
from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.redis import RedisWindows
from aibrix_mw.limiting.store import open_windows

HOUR = 3600.0


def hourly(key="k", limit=10, **fields):
    """A quota whose window does not end while a test runs."""
    return Quota(key, limit, per=HOUR, **fields)


def in_redis(url, **options) -> RedisWindows:
    """Windows in a store."""
    windows = open_windows(url, **options)
    assert isinstance(windows, RedisWindows)
    return windows


async def take(limiter, *quotas):
    """One verdict, as a middleware asks for it."""
    return limiter.take_now(quotas) or await limiter.take(quotas)


async def used(limiter, quota):
    """How much of the window is taken now."""
    if isinstance(limiter, Limiter):
        return await limiter.windows.storage.get(quota.name)
    ((_, _, (count,), _),) = await limiter.windows.take([((quota,), 0)])
    return count
