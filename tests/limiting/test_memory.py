"""Windows of this process: they start with the second of the clock, and end with it."""

import pytest
from limits.aio.storage import MemoryStorage

from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Quota
from tests.support import Clock


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def windows(clock):
    return MemoryWindows(MemoryStorage(), clock=clock)


def passed(windows, times, quota):
    return sum(windows.take((quota,)).full is None for _ in range(times))


def test_a_window_ends_with_the_second(windows, clock):
    quota = Quota("k", 10)
    clock.now = 1000.9
    assert passed(windows, 20, quota) == 10
    clock.now = 1000.999
    assert passed(windows, 20, quota) == 0
    clock.now = 1001.0
    assert passed(windows, 20, quota) == 10


def test_twice_the_limit_across_a_boundary(windows, clock):
    """F59: what a fixed window means."""
    quota = Quota("k", 50)
    clock.now = 1000.95
    before = passed(windows, 60, quota)
    clock.now = 1001.05
    assert (before, passed(windows, 60, quota)) == (50, 50)


def test_a_refund_after_the_roll_over_is_lost(windows, clock):
    """F62: the next window still admits exactly so many."""
    quota = Quota("k", 10)
    hits = [windows.take((quota,)) for _ in range(10)]
    clock.now += 1
    for hit in hits:
        windows.give(quota, hit.windows[0], 1)
    assert passed(windows, 20, quota) == 10


def test_a_correction_of_an_empty_window(windows):
    quota = Quota("k", 10, cost=1)
    windows.give(quota, 1000, -4)
    assert passed(windows, 20, quota) == 6


@pytest.mark.parametrize("per", [0.25, 1.0, 37.0, 3600.0])
def test_windows_of_any_length(windows, clock, per):
    quota = Quota("k", 2, per)
    clock.now = 5000 * per
    hit = windows.take((quota,))
    assert hit.windows == (int(clock.now // per),)
    assert 0 < hit.reset <= per + 1e-9


async def test_the_storage_of_limits_reads_the_same_counts(windows, monkeypatch, clock):
    monkeypatch.setattr("time.time", clock)
    quota = Quota("k", 10)
    for _ in range(3):
        windows.take((quota,))
    assert await windows.storage.get(quota.name) == 3
    assert await windows.storage.get_expiry(quota.name) == 1001.0
    clock.now = 1001.0
    assert await windows.storage.get(quota.name) == 0


def test_counts_of_the_past_are_forgotten(windows, clock):
    for number in range(10_000):
        clock.now = 1000.0 + number
        windows.take((Quota(f"user-{number}", 1),))
    assert len(windows.storage.expirations) <= 1025
    assert len(windows.storage.storage) <= 1025
