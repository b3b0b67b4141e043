"""What the scripts leave in the store."""

import asyncio
import time

import pytest

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.redis import Gift
from aibrix_mw.limiting.store import open_limiter
from tests.limiting.support import hourly, in_redis, take


@pytest.fixture
async def windows(valkey_url):
    made = in_redis(valkey_url)
    await made.client.flushall()
    yield made
    await made.aclose()


async def test_every_key_is_named_so_that_an_acl_can_and_expires(windows):
    """F63: whatever happens to the gateway after the script, its keys end by themselves."""
    quotas = tuple(Quota("{my-model}:profile:default", 10, per) for per in (1, 60, 3600))
    await windows.take([(quotas, 1)])
    keys = sorted(await windows.client.keys("*"))
    assert keys == [b"aibrix_mw:v1:{my-model}:profile:default:%d" % per for per in (1, 3600, 60)]
    for key in keys:
        window = int(key.rpartition(b":")[2])
        assert 1 <= await windows.client.ttl(key) <= window + 2


async def test_giving_back_keeps_the_expiry(windows):
    quota = hourly()
    ((_, numbers, _, _),) = await windows.take([((quota,), 1)])
    await windows.give([Gift(quota, numbers[0], 1)])
    assert await windows.client.ttl(windows.prefix + quota.name) >= 3600


async def test_looking_leaves_nothing(windows):
    await windows.take([((hourly(),), 0)])
    ((taken, *_),) = await windows.take([((hourly(limit=0),), 5)])
    assert taken == 0
    assert await windows.client.keys("*") == []


async def test_windows_are_those_of_the_store(windows, monkeypatch):
    """F60: no clock of ours has a say."""
    monkeypatch.setattr("time.time", lambda: 12.0)
    seconds, micros = await windows.client.time()
    ((_, (number,), _, now),) = await windows.take([((hourly(),), 1)])
    assert number == seconds // 3600
    assert now - (seconds + micros / 1e6) < 5


async def test_a_count_of_an_earlier_window_is_none(windows):
    """A key that lives on for longer than its window does not count."""
    quota = hourly()
    ((_, (number,), _, _),) = await windows.take([((quota,), 0)])
    await windows.client.set(windows.prefix + quota.name, f"{number - 1}:10")
    ((taken, _, counts, _),) = await windows.take([((quota,), 4)])
    assert (taken, counts) == (4, (0,))
    assert await windows.client.get(windows.prefix + quota.name) == b"%d:4" % number


async def test_another_version_is_not_disturbed(windows, valkey_url):
    quota = hourly(limit=10)
    newer = in_redis(valkey_url)
    newer.prefix = "aibrix_mw:v2:"
    for counting in (windows, newer, windows, newer):
        ((taken, *_),) = await counting.take([((quota,), 8)])
        await counting.give([Gift(quota, 0, 8)])
        assert taken in {8, 2}
    assert sorted(await windows.client.keys("*")) == [b"aibrix_mw:v%d:{k}:3600" % version for version in (1, 2)]
    assert [(await w.take([((quota,), 9)]))[0].taken for w in (windows, newer)] == [0, 0]
    await newer.aclose()


async def test_another_namespace_counts_for_itself(windows, valkey_url):
    other = in_redis(valkey_url, namespace="other")
    await windows.take([((hourly(limit=1),), 1)])
    ((taken, *_),) = await other.take([((hourly(limit=1),), 1)])
    assert taken == 1
    assert await other.client.exists("other:v1:{k}:3600")
    await other.aclose()


async def test_groups_of_one_trip_see_each_other(windows):
    model = hourly("{m}:model", 5)
    groups = [((hourly("{m}:a"), model), 4), ((hourly("{m}:b"), model), 4)]
    assert [taken.taken for taken in await windows.take(groups)] == [4, 1]


async def test_the_script_is_loaded_again_after_a_flush(windows):
    await windows.take([((hourly(),), 1)])
    await windows.client.script_flush()
    ((taken, *_),) = await windows.take([((hourly(),), 1)])
    assert taken == 1


async def test_many_at_once_over_several_connections(valkey_url):
    gateways = [in_redis(valkey_url) for _ in range(4)]
    quotas = (hourly("{burst}:a", 100), hourly("{burst}:b", 120))
    answers = await asyncio.gather(*(gateways[i % 4].take([(quotas, 1)]) for i in range(300)))
    assert sum(taken.taken for (taken,) in answers) == 100
    await asyncio.gather(*(gateway.aclose() for gateway in gateways))


async def test_windows_roll_over_with_the_second(windows):
    """Ten windows in a row, at most so many in each and exactly so many in those that were there from start to end."""
    quota = Quota("rolling", 100)
    passed: dict[int, int] = {}
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        ((taken, (number,), _, _),) = await windows.take([((quota,), 7)])
        passed[number] = passed.get(number, 0) + taken
    assert list(passed.values())[:-1] == [100] * (len(passed) - 1)
    assert len(passed) >= 3


async def test_ten_thousand_refusals_in_one_window(valkey_url):
    """F64: at most twenty trips, and one thousand hits that come in turns cost few as well."""
    trips: list[float] = []
    limiter = open_limiter(valkey_url, timeout=5.0, on_trip=trips.append)
    await limiter.windows.client.flushall()
    refused = 0
    for _ in range(100):
        hits = await asyncio.gather(*(take(limiter, hourly(limit=10)) for _ in range(100)))
        refused += sum(hit.full is not None for hit in hits)
    assert refused == 9990
    assert len(trips) <= 20
    await limiter.aclose()


async def test_a_restart_loses_the_count_and_no_more(servers):
    """F57: at most twice the limit, as long as nobody counts meanwhile."""
    server = servers()
    port = server.port
    limiter = open_limiter(server.connection_url, timeout=5.0)
    before = [await take(limiter, hourly(limit=5)) for _ in range(8)]
    server.stop()
    servers(port)
    limiter._full.clear()  # what this gateway knew of the window; another one knows nothing
    after = [await take(limiter, hourly(limit=5)) for _ in range(8)]
    assert [sum(hit.full is None for hit in hits) for hits in (before, after)] == [5, 5]
    assert {hit.counter for hit in after} == {limiter.windows, None}
    await limiter.aclose()
