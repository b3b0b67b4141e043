"""UserLimitMiddleware: exact over every store."""

import asyncio
import shutil
import time

import pytest

from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.middleware.userlimit import UserLimitMiddleware
from aibrix_mw.scope import REQUEST
from aibrix_mw.settings import UserRecord
from aibrix_mw.shared.users import StoredUsers, Users
from tests.limiting.redis_server import running
from tests.middleware.userlimit_support import SSE, Engine, answer, put_by, request_of, stream
from tests.ports import free_port
from tests.support import Client, Clock, until


@pytest.fixture(autouse=True)
async def within_a_minute():
    """No test begins just before a minute of the clock, the store's too, is over."""
    await until(lambda: time.time() % 60 < 56)


@pytest.fixture
def redis_proper(tmp_path):
    """The URL of a Redis proper."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis proper: the system package redis-server is not installed")
    port = free_port()
    with running(tmp_path / "redis", port, 'save ""'):
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(params=["memory", "redis", "valkey", "redis-server"])
async def limiter(request):
    """A limiter over a store: in process, or a server with each of the clients."""
    if request.param == "memory":
        yield open_limiter()
        return
    if request.param == "redis-server":
        url = request.getfixturevalue("redis_proper")
    else:
        url = request.getfixturevalue("server").connection_url.replace("redis", request.param)
    made = open_limiter(url, timeout=5)
    yield made
    await made.aclose()


async def test_exactly_the_limit_passes_of_a_thousand_at_once(limiter):
    app = UserLimitMiddleware(Engine(), users=Users({"al": UserRecord(rpm=100, tpm=10**6)}), limiter=limiter)
    statuses = [reply.status for reply in await asyncio.gather(*(put_by(app) for _ in range(1000)))]
    assert (statuses.count(200), statuses.count(429)) == (100, 900)


async def test_tokens_come_to_exactly_what_was_counted(limiter):
    """300 at once, each estimated at 100 and counted as 20: reservations hold, and then the corrections."""
    app = UserLimitMiddleware(Engine(answer((10, 10))), users=Users({"al": UserRecord(tpm=10_000)}), limiter=limiter)
    passed = 0
    for _ in range(2):
        replies = await asyncio.gather(*(put_by(app) for _ in range(300)))
        passed += sum(reply.status == 200 for reply in replies)
    assert 180 <= passed <= 500
    assert await used(limiter, "{user:al}:tpm") == 20 * passed


async def used(limiter, key):
    quotas = (Quota(key, 2**40, 60.0),)
    hit = limiter.take_now(quotas) or await limiter.take(quotas)
    return 2**40 - 1 - hit.remaining


async def test_a_record_in_the_store(limiter, server, client):
    await client.set("aibrix-users/al", b'{"name": "al", "rpm": 2, "tpm": 100000}')
    users = Users({}, StoredUsers(client), timeout=1)
    app = UserLimitMiddleware(Engine(), users=users, limiter=limiter)
    assert [(await put_by(app)).status for _ in range(3)] == [200, 200, 429]


async def test_a_store_that_is_away_and_the_policy_refuse(servers):
    server = servers()
    limiter = open_limiter(server.connection_url, on_error="refuse", timeout=0.5)
    app = UserLimitMiddleware(Engine(stream((9, 900)), SSE), users=Users({"al": UserRecord(tpm=200)}), limiter=limiter)
    assert (await put_by(app)).status == 200
    server.stop()
    reply = await put_by(app)
    assert reply.status == 503
    assert reply.header("x-error-incr-model-rps") == b"true"
    await limiter.aclose()


async def test_a_charge_that_no_store_takes_is_let_go(server):
    """The answer was complete; that it cannot be counted is nobody's fault."""
    limiter, clock = open_limiter(server.connection_url, on_error="refuse", timeout=0.5), Clock()
    engine = Engine(stream((9, 900)), SSE)
    engine.go.clear()
    users = Users({"al": UserRecord(tpm=200)})
    asked = Client(
        UserLimitMiddleware(engine, users=users, limiter=limiter, clock=clock), **{REQUEST.key: request_of()}
    )
    answering = asked.start()
    await until(lambda: engine.asked)
    server.stop()
    clock.now += 61
    engine.go.set()
    reply = await answering
    assert (reply.status, reply.complete) == (200, True)
    assert limiter.store_errors == 1
    await limiter.aclose()


async def test_while_the_store_is_away_a_request_may_take_the_whole_share(servers):
    """A third of 250 tokens is less than one request's 100, which passes all the same, once."""
    server = servers()
    limiter = open_limiter(server.connection_url, live_gateways=lambda: 3, timeout=0.5)
    server.stop()
    app = UserLimitMiddleware(Engine(), users=Users({"al": UserRecord(tpm=250, rpm=30)}), limiter=limiter)
    assert [(await put_by(app)).status for _ in range(3)] == [200, 429, 429]
    await limiter.aclose()
