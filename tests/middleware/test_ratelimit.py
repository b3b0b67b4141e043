"""RateLimitMiddleware alone: quotas of a host's own, refusals header for header, and refunds."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from aibrix_mw.errors import StoreRefused
from aibrix_mw.limiting.limiter import Limiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Hit, Quota
from aibrix_mw.limiting.store import open_windows
from aibrix_mw.middleware.ratelimit import RateLimitMiddleware, refund
from tests.support import BODY, CHAT, Clock, ask

SECOND = Quota("k", 2)


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-inner", b"1")]})
    await send({"type": "http.response.body", "body": b"inner"})


async def unable(scope, receive, send):
    await send(refund({"type": "http.response.start", "status": 502, "headers": []}))
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def clock():
    return Clock(1000.25)


@pytest.fixture
def limiter(clock):
    return Limiter(MemoryWindows(open_windows().storage, clock=clock))


def limited(limiter, quota=SECOND, app=inner, **options):
    return RateLimitMiddleware(app, quota=quota if callable(quota) else lambda scope: quota, limiter=limiter, **options)


async def test_what_a_client_reads(limiter):
    app = limited(limiter)
    first, second, third = [await ask(app) for _ in range(3)]
    assert (first.status, first.body) == (200, b"inner")
    assert first.headers == [
        (b"x-inner", b"1"),
        (b"x-ratelimit-limit-requests", b"2"),
        (b"x-ratelimit-remaining-requests", b"1"),
        (b"x-ratelimit-reset-requests", b"750ms"),
    ]
    assert second.header("x-ratelimit-remaining-requests") == b"0"
    message = "rate limit exceeded: 2 requests per 1 s"
    error = {"message": message, "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    assert (third.status, third.json()) == (429, {"error": error})
    assert third.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(third.body)).encode()),
        (b"x-error-model-rps-exceeded", b"true"),
        (b"retry-after", b"1"),
        (b"x-ratelimit-limit-requests", b"2"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", b"750ms"),
    ]


async def test_the_next_window(limiter, clock):
    app = limited(limiter)
    for _ in range(3):
        reply = await ask(app)
    assert reply.status == 429
    clock.now = 1001.0
    assert (await ask(app)).status == 200


async def test_a_message_of_ones_own(limiter):
    app = limited(limiter, Quota("k", 0, message="no more of this"))
    assert (await ask(app)).json()["error"]["message"] == "no more of this"


@pytest.mark.parametrize(
    ("per", "reset", "retry"), [(1.0, b"750ms", b"1"), (60.0, b"20s", b"20"), (3600.0, b"43m20s", b"2600")]
)
async def test_longer_windows(limiter, per, reset, retry):
    limiter.windows.clock.now = 1000.0 if per > 1 else 1000.25
    reply = await ask(limited(limiter, Quota("k", 0, per)))
    assert reply.header("x-ratelimit-reset-requests") == reset
    assert reply.header("retry-after") == retry


async def test_the_first_full_one_is_named(limiter):
    app = limited(limiter, (Quota("a", 9, message="a"), Quota("b", 1, message="b")))
    assert (await ask(app)).header("x-ratelimit-limit-requests") == b"1"
    reply = await ask(app)
    assert (reply.status, reply.json()["error"]["message"]) == (429, "b")


async def test_no_quota_no_limit(limiter):
    reply = await ask(limited(limiter, None))
    assert reply.headers == [(b"x-inner", b"1")]


async def test_anthropic_shape(limiter):
    reply = await ask(limited(limiter, Quota("k", 0)), path="/v1/messages")
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["type"] == "rate_limit_error"


async def test_a_refund_comes_before_the_answer(limiter):
    """One that would come later could find the next request refused."""
    app = limited(limiter, Quota("k", 1), unable)
    for _ in range(50):
        assert (await ask(app)).status == 502
    assert limiter.take_now((Quota("k", 1),)).full is None


async def test_absent_is_used(limiter):
    app = limited(limiter, Quota("k", 1))
    assert [(await ask(app)).status for _ in range(2)] == [200, 429]


async def test_outer_counts_are_given_back_when_an_inner_limit_refuses(limiter):
    """As user limits are, when the model's limit refuses."""
    app = limited(limiter, Quota("outer", 100), limited(limiter, Quota("inner", 2)))
    for _ in range(10):
        await ask(app)
    assert (
        await limiter.windows.storage.get("{outer}:1") == 0
        or limiter.windows.take((Quota("outer", 100),)).remaining == 97
    )


class RefusingLimiter(Limiter):
    def take_now(self, quotas):
        raise StoreRefused


class OpenLimiter(Limiter):
    def take_now(self, quotas):
        return None

    async def take(self, quotas):
        return Hit(quotas)


async def test_a_store_that_is_away_and_a_setting_that_says_refuse():
    reply = await ask(limited(RefusingLimiter(open_windows())))
    assert (reply.status, reply.json()["error"]["code"]) == (503, "service_unavailable")
    assert reply.header("x-error-incr-model-rps") == b"true"
    assert reply.header("retry-after") == b"1"


async def test_what_nobody_counted_has_no_headers():
    reply = await ask(limited(OpenLimiter(open_windows())))
    assert reply.headers == [(b"x-inner", b"1")]


async def test_other_paths_are_not_limited(limiter):
    app = limited(limiter, Quota("k", 0))
    assert (await ask(app, path="/other")).status == 200
    assert (await ask(app, method="GET")).status == 200
    assert (await ask(limited(limiter, Quota("k", 0), paths=["/other"]), path="/other")).status == 429


@pytest.mark.parametrize("scheme", [None, "redis", "valkey"])
def test_in_a_host_application(valkey_url, scheme):
    """By its store's URL: connects on first use, and closes with the host's lifespan."""
    store = None if scheme is None else valkey_url.replace("redis", scheme)

    async def chat(request):
        return PlainTextResponse((await request.body()).decode())

    app = Starlette(routes=[Route(CHAT, chat, methods=["POST"])])
    app.add_middleware(RateLimitMiddleware, quota=lambda scope: Quota(f"host-{scheme}", 3, 3600), store=store)
    for _ in range(2):
        with TestClient(app) as client:
            answers = [client.post(CHAT, content=BODY) for _ in range(4)]
        assert answers[-1].status_code == 429
    assert [answer.status_code for answer in answers] == [429] * 4
