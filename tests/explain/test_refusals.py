"""Refusals are foretold, and questions that are none refused."""

import pytest

from tests.explain.asking import explain
from tests.refusals import ROWS
from tests.support import BODY, CHAT, Running, ask

KNOWN_BEFORE_A_POD_IS_ASKED = [
    row
    for row in ROWS
    if not {"script", "state"} & row.gateway.keys()
    and not {"method"} & row.ask.keys()
    and row.ask.get("path", CHAT) not in {"/metrics", "/v1/models", "/v1/audio/transcriptions"}
    and row.name not in {"not one request", "head too large", "no key"}
]


@pytest.mark.parametrize("row", KNOWN_BEFORE_A_POD_IS_ASKED, ids=lambda row: row.name)
async def test_every_refusal_is_foretold(row):
    settings = dict(row.gateway)
    prepare = settings.pop("prepare", lambda _: None)
    body = row.ask.get("body", BODY).decode()
    headers = {name.decode(): value.decode() for name, value in row.ask.get("headers", ())}
    async with Running(**settings) as running:
        prepare(running.gateway)
        told = await explain(running, None, body=body, headers=headers, path=row.ask.get("path", CHAT))
        assert running.upstream.requests == []
    refused = told["refused"]
    assert (refused["status"], refused["code"], refused["outcome"]) == (row.status, row.code, row.outcome)
    assert refused["message"] == row.message
    assert refused["headers"] == row.answer_headers
    assert told["choice"] is None


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (b"{", "the question: Input data was truncated"),
        (b"{}", "the question needs a model, or a body that names one"),
        (b'{"modle": "m"}', "the question: Object contains unknown field `modle`"),
        (b'{"model": "m", "path": "/metrics"}', "/metrics is not a path that is forwarded to engines"),
        (b'{"model": "m", "headers": {"a": "b\\r\\nc: d"}}', "header a cannot be sent"),
        (
            b'{"model": "m", "body": ' + b"[" * 100_000,
            "the question: maximum recursion depth exceeded while deserializing an object",
        ),
    ],
)
async def test_questions_that_are_none(question, message):
    async with Running() as running:
        reply = await ask(running.gateway.admin, question, "/explain")
    assert (reply.status, reply.json()["error"]["message"]) == (400, message)


async def test_only_post():
    async with Running() as running:
        assert (await ask(running.gateway.admin, b"", "/explain", method="GET")).status == 405
