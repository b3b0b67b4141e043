"""Stores by their URLs: what works, and what is refused with a reason."""

import sys

import pytest
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.storage import MemoryStorage as BlockingMemory
from limits.storage import RedisStorage as BlockingRedis

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.redis import RedisWindows
from aibrix_mw.limiting.store import open_limiter, open_windows
from tests.limiting.support import hourly, take


@pytest.mark.parametrize("store", [None, "memory://", "async+memory://"])
def test_in_process(store):
    assert isinstance(open_windows(store), MemoryWindows)
    assert isinstance(open_limiter(store), Limiter)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:1",
        "rediss://h:1",
        "redis://h:1/3",
        "valkey://h:1",
        "async+redis://h:1",
        "redis+sentinel://h:1,i:2/mymaster",
        "redis+cluster://h:1,i:2",
    ],
)
def test_shared(url):
    """Nothing is connected, and no event loop is needed."""
    assert isinstance(open_windows(url), RedisWindows)
    assert isinstance(open_limiter(url), SharedLimiter)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", ("h", 6379)),
        ("rediss://u:p@h/3", ("h", 6379)),
        ("valkey://[::1]/1", ("::1", 6379)),
        ("redis://h:7", ("h", 7)),
    ],
)
def test_the_usual_port_needs_no_saying(url, address):
    arguments = open_windows(url).client.connection_pool.connection_kwargs
    assert (arguments["host"], arguments["port"]) == address


def test_a_storage_that_somebody_has_already():
    storage = MemoryStorage()
    assert open_windows(storage).storage is storage
    blocking = BlockingMemory()
    assert open_windows(blocking).storage is blocking
    redis = RedisStorage("async+redis://h:1", implementation="redispy")
    assert open_windows(redis).storage is redis


async def test_a_storage_of_limits_counts(valkey_url):
    storage = RedisStorage(f"async+{valkey_url}", implementation="redispy")
    limiter = open_limiter(storage)
    await open_windows(storage).client.flushall()
    assert (await take(limiter, hourly(limit=1))).full is None
    assert (await take(limiter, hourly(limit=1))).full is not None
    await limiter.aclose()


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("http://h", "unknown storage scheme"),
        ("redis+sentinel://h:1", "service_name"),
        ("redis+cluster://h", "Missing host or port"),
        ("redis://u:geheim@h:port", "Unable to parse"),
        (BlockingRedis("redis://h:1"), "RedisStorage cannot take and give back in one step"),
        (object(), "object cannot take"),
    ],
)
def test_what_cannot_work(store, reason):
    with pytest.raises(ConfigurationError, match=reason) as refused:
        open_windows(store)
    assert refused.value.faults[0].path == "store.url"
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_without_the_client(monkeypatch, library):
    for name in (library, f"{library}.backoff"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"store\.url: needs the {library} client: pip install"):
        open_windows(f"{library}://h:1")
