"""Every refusal through the whole stack: status, headers, body, outcome, as the contract's table has them."""

import asyncio

import pytest

from aibrix_mw.errors import error_type
from tests.refusals import ROWS
from tests.support import BODY, Client, Running, settle


async def refused(row, **options):
    """Ask, and check what holds for every refusal."""
    settings = dict(row.gateway)
    changes, prepare = settings.pop("state", {}), settings.pop("prepare", lambda _: None)
    asked = {"body": BODY} | row.ask | options
    asked["headers"] = [*asked.get("headers", ()), (b"x-request-id", b"mine")]
    async with Running(**settings) as running:
        for name, value in changes.items():
            setattr(running.gateway.lifecycle, name, value)
        prepare(running.gateway)
        reply = await running.ask(**asked)
        if "script" not in settings:
            assert running.upstream.requests == []
        assert running.in_flight in ([0, 0], [0], [])
        assert await running.outcomes() == {(row.model, row.profile or "", str(row.status), row.outcome): 1}
    return reply


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_refusal(row):
    reply = await refused(row)
    assert reply.status == row.status
    assert reply.complete
    expected = {"content-type": "application/json", "content-length": str(len(reply.body)), "x-request-id": "mine"}
    expected |= row.answer_headers
    if row.profile:
        expected["x-aibrix-config-profile"] = row.profile
    assert {name.decode(): value.decode() for name, value in reply.headers} == expected
    assert len(reply.headers) == len(expected)
    assert reply.json() == row.error()


ON_MESSAGES = [row for row in ROWS if not {"path", "method"} & row.ask.keys()]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("row", ON_MESSAGES, ids=lambda row: row.name)
async def test_every_refusal_in_anthropics_shape(row, path):
    reply = await refused(row, path=path)
    assert reply.status == row.status
    assert reply.json() == {"type": "error", "error": {"type": error_type(row.status), "message": row.message}}


async def test_overloaded():
    go = asyncio.Event()
    async with Running(lambda _: go, limits={"max_in_flight": 1}) as running:
        task = Client(running.gateway).start()
        await settle()
        reply = await running.ask()
        assert (reply.status, reply.header("retry-after"), reply.header("connection")) == (503, b"2", None)
        assert await running.outcomes() == {("_unknown", "", "503", "overloaded"): 1}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/invocations",
        "/v1/../metrics",
        "/v1/load_lora_adapter",
        "/sleep",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "//v1/chat/completions",
        "/",
        "",
        "/v1/chat/completions/../../../metrics",
        "/health",
    ],
)
async def test_f72_paths_outside_the_list(path):
    async with Running() as running:
        reply = await running.ask(path=path)
        assert (reply.status, reply.json()["error"]["code"]) == (404, "not_found")
        assert reply.header("x-request-id")
        assert running.upstream.requests == []
