"""Limiters over every store, each as empty as it is in a fresh deployment."""

import shutil

import pytest

from aibrix_mw.limiting.limiter import SharedLimiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.store import open_limiter, open_windows
from tests.limiting.fake_store import FakeWindows, Sleeper
from tests.limiting.redis_server import running
from tests.ports import free_port
from tests.support import Clock

STORES = ["memory", "redis", "valkey", "redis-server"]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """The URL of a Redis proper that tests empty before they use it."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis proper: the system package redis-server is not installed")
    port = free_port()
    with running(tmp_path_factory.mktemp("redis"), port, 'save ""'):
        yield f"redis://127.0.0.1:{port}"


def store_of(request):
    """The URL of the store that a parameter names; None: in process."""
    if request.param == "memory":
        return None
    if request.param == "redis-server":
        return request.getfixturevalue("redis_url")
    return request.getfixturevalue("valkey_url").replace("redis", request.param)


@pytest.fixture(params=STORES)
async def limiter(request):
    """A limiter, started and closed; in process, and over each kind of store and client."""
    store = store_of(request)
    # a neighbour that takes the processor for a while must not look like a store that is away
    made = open_limiter(store, timeout=5.0) if store is not None else open_limiter()
    await made.start()
    if store is not None:
        await made.windows.client.flushall()
    yield made
    await made.aclose()


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
