"""Answers that nobody inside gives an account of."""

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

from aibrix_mw.outcome import Outcome
from aibrix_mw.scope import OUTCOME, USAGE
from aibrix_mw.watched import Watched, outcome_of
from tests.support import Clock, ask


def tell(seen):
    """A middleware around another one: what it finds in the scope afterwards."""

    def around(app):
        async def telling(scope, receive, send):
            await app(scope, receive, send)
            seen.append((OUTCOME.get(scope), USAGE.require(scope).usage))

        return telling

    return around


async def watch(app, clock=None):
    seen: list[tuple[Outcome | None, object]] = []
    await ask(tell(seen)(Watched(app, clock or Clock())))
    return seen[0]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (200, "ok"),
        (304, "ok"),
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "not_found"),
        (429, "limited"),
        (500, "engine_error"),
        (503, "engine_error"),
    ],
)
async def test_the_status_says_how_it_ended(status, name):
    outcome, _ = await watch(PlainTextResponse("x", status))
    assert (outcome.name, outcome.status) == (outcome_of(status), status) == (name, status)


async def test_times_of_a_stream():
    clock = Clock(100.0)

    async def pieces():
        yield b""
        clock.now = 102.0
        yield b"a"
        clock.now = 107.0
        yield b"b"

    outcome, _ = await watch(StreamingResponse(pieces()), clock)
    assert (outcome.sent, outcome.first_byte, outcome.last_byte) == (100.0, 102.0, 107.0)


async def test_an_answer_without_a_body_has_its_first_byte_at_its_end():
    outcome, _ = await watch(PlainTextResponse("", 204), Clock(5.0))
    assert outcome.first_byte == outcome.last_byte == 5.0


async def test_what_somebody_has_said_stands():
    said = Outcome(name="overloaded", status=503)

    async def app(scope, receive, send):
        OUTCOME.put(scope, said)
        await PlainTextResponse("x", 503)(scope, receive, send)

    assert (await watch(app))[0] is said


async def test_no_answer_is_no_outcome():
    async def silent(scope, receive, send):
        pass

    seen: list[tuple[Outcome | None, object]] = []
    await tell(seen)(Watched(silent))({"type": "http"}, None, None)
    assert seen == [(None, None)]
    called = []

    async def lifespan(scope, receive, send):
        called.append(scope["type"])

    await Watched(lifespan)({"type": "lifespan"}, None, None)
    assert called == ["lifespan"]


async def test_usage_is_read():
    body = b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
    _, usage = await watch(PlainTextResponse(body, media_type="application/json"))
    assert (usage.input, usage.output) == (3, 4)
