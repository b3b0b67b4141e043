"""UserLimitMiddleware: exact over every store, corrected by what the engine says, and invisible otherwise."""

import pytest

from aibrix_mw.errors import REFUND
from aibrix_mw.limiting.limiter import Limiter
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.middleware.userlimit import UserLimitMiddleware, estimate, quotas_of
from aibrix_mw.scope import REQUEST, USAGE
from aibrix_mw.settings import UserRecord
from aibrix_mw.shared.users import Users
from aibrix_mw.usage import UsageReader
from tests.middleware.userlimit_support import JSON, PROMPT, SSE, Engine, answer, put_by, request_of, stream
from tests.support import CHAT, Client, Clock, settle


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
    reader.in_passing = True
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
