"""UserLimitMiddleware: exact over every store, corrected by what the engine says, and invisible otherwise."""

import asyncio
import time

import pytest

from aibrix_mw.errors import REFUND
from aibrix_mw.limiting.limiter import Limiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Quota
from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.middleware.userlimit import UserLimitMiddleware, estimate, quotas_of
from aibrix_mw.request import InferenceRequest, parse_fields
from aibrix_mw.scope import REQUEST, USAGE
from aibrix_mw.settings import UserRecord
from aibrix_mw.shared.users import StoredUsers, Users
from aibrix_mw.usage import UsageReader
from tests.support import CHAT, Client, Clock, ask, settle, until

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream")]
PROMPT = b'{"model": "m", "max_tokens": 60, "messages": "%s"}' % (b"x" * 158)  # 40 + 60 tokens


def answer(usage):
    return [b'{"choices": [], ', b'"usage": {"prompt_tokens": %d, "completion_tokens": %d}}' % usage]


def stream(usage):
    last = b'data: {"choices": [], "usage": {"prompt_tokens": %d, "completion_tokens": %d}}\n\n' % usage
    return [b'data: {"choices": [{}]}\n\n', b"data: ", last[6:30], last[30:], b"data: [DONE]\n\n"]


@pytest.fixture(autouse=True)
async def within_a_minute():
    """No test begins just before a minute of the clock, the store's too, is over."""
    await until(lambda: time.time() % 60 < 56)


class Engine:
    """What is inside: answers with chunks, once it may."""

    def __init__(self, chunks=(b"{}",), headers=JSON, **start):
        self.chunks, self.headers, self.start = list(chunks), list(headers), start
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await self.go.wait()
        start = {"type": "http.response.start", "status": 200, "headers": [*self.headers]}
        await send(start | self.start)
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def request_of(user="al", body=PROMPT, path=CHAT):
    fields = parse_fields(body)
    return InferenceRequest(model="m", requested_model="m", path=path, body=body, fields=fields, user=user)


def put_by(app, user="al", body=PROMPT, **more):
    """One request, as the model middleware hands it in."""
    return ask(app, body, **{REQUEST.key: request_of(user, body)}, **more)


class Limited:
    """The middleware over counts of this process, with a clock in the test's hand."""

    def __init__(self, engine=None, **record):
        self.clock = Clock(600.0)
        self.engine = engine or Engine()
        windows = MemoryWindows(type("Counts", (), {"storage": {}, "expirations": {}})(), clock=self.clock)
        users = Users({"al": UserRecord(**record)})
        self.windows = windows
        self.app = UserLimitMiddleware(self.engine, users=users, limiter=Limiter(windows), clock=self.clock)

    async def statuses(self, times, **more):
        return [(await put_by(self.app, **more)).status for _ in range(times)]

    def used(self, kind):
        return self.windows._counts.get(f"{{user:al}}:{kind}:60", 0)


# --- requests


async def test_requests_per_minute():
    limited = Limited(rpm=3)
    assert await limited.statuses(5) == [200, 200, 200, 429, 429]
    assert limited.engine.asked == 3
    limited.clock.now += 17.5
    reply = await put_by(limited.app)
    assert dict(reply.headers)[b"retry-after"] == b"43"
    assert dict(reply.headers)[b"x-error-rpm-exceeded"] == b"true"
    error = {"message": "user: al has exceeded RPM: 3", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    assert reply.json() == {"error": error}
    limited.clock.now += 42.5
    assert await limited.statuses(4) == [200, 200, 200, 429]


async def test_the_last_moment_of_a_minute_is_not_zero_seconds():
    limited = Limited(rpm=1)
    limited.clock.now += 59.999
    assert await limited.statuses(1) == [200]
    assert (await put_by(limited.app)).header("retry-after") == b"1"


@pytest.mark.parametrize("user", [None, "bo", ""])
async def test_who_has_no_limit_is_not_counted(user):
    limited = Limited(rpm=1, tpm=1)
    assert await limited.statuses(3, user=user) == [200, 200, 200]
    assert limited.windows._counts == {}


# --- tokens


@pytest.mark.parametrize(("chunks", "headers"), [(answer, JSON), (stream, SSE)])
@pytest.mark.parametrize(("usage", "used"), [((10, 5), 15), ((40, 60), 100), ((40, 400), 440)])
async def test_the_engines_count_takes_the_place_of_the_estimate(chunks, headers, usage, used):
    limited = Limited(Engine(chunks(usage), headers), tpm=200, rpm=9)
    reply = await put_by(limited.app)
    assert reply.chunks == [*chunks(usage), b""]
    assert (limited.used("tpm"), limited.used("rpm")) == (used, 1)
    assert await limited.statuses(1) == [200 if used + 100 <= 200 else 429]


@pytest.mark.parametrize("engine", [Engine(), Engine([b"data: {}\n\n", b"data: [DONE]\n\n"], SSE), Engine([b"\0"], [])])
async def test_without_a_count_the_estimate_stands(engine):
    limited = Limited(engine, tpm=250)
    assert await limited.statuses(3) == [200, 200, 429]
    assert limited.used("tpm") == 200


async def test_tokens_are_reserved_before_they_are_made():
    limited = Limited(Engine(answer((1, 1))), tpm=250)
    limited.engine.go.clear()
    asked = [Client(limited.app, **{REQUEST.key: request_of()}).start() for _ in range(10)]
    await settle()
    assert limited.engine.asked == 2
    limited.engine.go.set()
    assert sorted([(await task).status for task in asked]) == [200] * 2 + [429] * 8
    assert limited.used("tpm") == 4


async def test_the_refusal_of_tokens():
    limited = Limited(tpm=150, rpm=5)
    await put_by(limited.app)
    reply = await put_by(limited.app)
    assert reply.status == 429
    assert reply.header("x-error-tpm-exceeded") == b"true"
    assert reply.header("retry-after") == b"60"
    assert reply.json()["error"]["message"] == "user: al has exceeded TPM: 150"
    assert limited.used("rpm") == 1  # all or nothing


async def test_a_request_larger_than_the_limit_waits_for_a_minute_of_its_own():
    limited = Limited(tpm=50)
    assert await limited.statuses(2) == [200, 429]
    limited.clock.now += 60
    assert await limited.statuses(2) == [200, 429]


@pytest.mark.parametrize(("usage", "now_used"), [((1, 1), 0), ((40, 200), 140)])
async def test_an_answer_that_ends_in_another_minute(usage, now_used):
    """What was not used has gone with its minute; what was used beyond the estimate counts in the minute of now."""
    limited = Limited(Engine(stream(usage), SSE), tpm=200)
    limited.engine.go.clear()
    asked = Client(limited.app, **{REQUEST.key: request_of()}).start()
    await settle()
    assert limited.used("tpm") == 100
    limited.clock.now += 61
    limited.engine.go.set()
    await asked
    limited.windows._forget_closed()
    assert limited.used("tpm") == now_used


async def test_a_crash_inside_stays_a_crash_and_costs_the_estimate():
    async def crash(*_):
        raise ValueError("no")

    limited = Limited(crash, tpm=200)
    with pytest.raises(ValueError, match="no"):
        await put_by(limited.app)
    assert limited.used("tpm") == 100


async def test_a_refund_gives_everything_back_before_the_answer_starts():
    limited = Limited(Engine(answer((9, 9)), **{REFUND: True}), tpm=150, rpm=1)
    assert await limited.statuses(5) == [200] * 5
    assert (limited.used("tpm"), limited.used("rpm")) == (0, 0)


async def test_whoever_reads_usage_outside_is_trusted():
    limited, reader = Limited(Engine(answer((10, 5))), tpm=200), UsageReader()
    for chunk in answer((7, 7)):
        reader.feed(chunk)
    await put_by(limited.app, **{USAGE.key: reader})
    assert limited.used("tpm") == 14


# --- what a request takes


@pytest.mark.parametrize(
    ("path", "body", "tokens"),
    [
        (CHAT, PROMPT, 100),
        (CHAT, b'{"model": "m", "messages": "12345678"}', 3 + 5),
        ("/v1/responses", b'{"model": "m", "input": "12345678", "max_output_tokens": 7}', 10),
        ("/v1/embeddings", b'{"model": "m", "input": "12345678", "max_tokens": 7}', 3),
        ("/v1/audio/speech", b'{"model": "m"}', 0),
    ],
)
def test_estimates(path, body, tokens):
    assert estimate(request_of(body=body, path=path)) == tokens


def test_quotas():
    request = request_of()
    rpm, tpm = quotas_of("al", UserRecord(rpm=3, tpm=70), request)
    assert (rpm.name, rpm.limit, rpm.cost, tpm.name, tpm.limit, tpm.cost) == (
        *("{user:al}:rpm:60", 3, 1),
        *("{user:al}:tpm:60", 70, 70),
    )
    assert quotas_of("al", UserRecord(), request) == ()
    assert [quota.cost for quota in quotas_of("al", UserRecord(tpm=9), request_of(body=b'{"model": "m"}'))] == [1]
    assert quotas_of("al", UserRecord(tpm=9), request_of(path="/tokenize")) == ()


# --- over every store


@pytest.fixture(params=["memory", "redis", "valkey"])
async def limiter(request):
    """A limiter over a store."""
    if request.param == "memory":
        yield open_limiter()
        return
    server = request.getfixturevalue("server")
    made = open_limiter(server.connection_url.replace("redis", request.param), timeout=5)
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


async def test_other_messages_pass_as_they_are():
    """An informational answer, say, of an application of somebody else's."""
    hint = {"type": "http.response.debug", "info": {}}

    async def hinting(scope, receive, send):
        await send(hint)
        await Engine(answer((10, 5)))(scope, receive, send)

    limited = Limited(hinting, tpm=200)
    reply = await put_by(limited.app)
    assert reply.messages[0] is hint
    assert limited.used("tpm") == 15


async def test_while_the_store_is_away_a_request_may_take_the_whole_share(servers):
    """A third of 250 tokens is less than one request's 100, which passes all the same, once."""
    server = servers()
    limiter = open_limiter(server.connection_url, live_gateways=lambda: 3, timeout=0.5)
    server.stop()
    app = UserLimitMiddleware(Engine(), users=Users({"al": UserRecord(tpm=250, rpm=30)}), limiter=limiter)
    assert [(await put_by(app)).status for _ in range(3)] == [200, 429, 429]
    await limiter.aclose()
