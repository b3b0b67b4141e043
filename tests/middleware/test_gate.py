"""GateMiddleware: what the gateway cannot take now."""

import asyncio

import pytest

from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.middleware.gate import GateMiddleware
from tests.support import Client, ask, settle


def lifecycle(**state):
    made = Lifecycle()
    made.running = True
    for name, value in state.items():
        setattr(made, name, value)
    return made


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inner"})


async def test_running():
    assert (await ask(GateMiddleware(answer, lifecycle=lifecycle()))).body == b"inner"


async def test_draining_still_serves_until_it_closes():
    state = lifecycle(draining=True)
    gate = GateMiddleware(answer, lifecycle=state)
    assert (await ask(gate)).status == 200
    state.closing = True
    reply = await ask(gate)
    assert reply.status == 503
    assert reply.headers[2:] == [(b"retry-after", b"1"), (b"connection", b"close")]


async def test_before_running_one_line_says_so(log):
    gate = GateMiddleware(answer, lifecycle=lifecycle(running=False))
    replies = [await ask(gate) for _ in range(3)]
    assert [reply.status for reply in replies] == [503] * 3
    assert replies[0].headers[2:] == [(b"retry-after", b"2")]
    assert replies[0].json()["error"]["message"] == "the gateway is not running"
    (line,) = log()
    assert "Gateway.running()" in line


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_always_pass(path):
    for state in (lifecycle(running=False), lifecycle(closing=True)):
        gate = GateMiddleware(answer, lifecycle=state, max_in_flight=0)
        assert (await ask(gate, b"", path, method="GET")).body == b"inner"


async def test_f39_over_the_cap():
    go = asyncio.Event()

    async def slow(scope, receive, send):
        await go.wait()
        await answer(scope, receive, send)

    gate = GateMiddleware(slow, lifecycle=lifecycle(), max_in_flight=10)
    tasks = [Client(gate).start() for _ in range(15)]
    await settle()
    refused = [task.result() for task in tasks if task.done()]
    assert [reply.status for reply in refused] == [503] * 5
    assert refused[0].headers[2:] == [(b"retry-after", b"2")]
    assert refused[0].json()["error"]["code"] == "service_unavailable"
    go.set()
    assert sorted(reply.status for reply in await asyncio.gather(*tasks)) == [200] * 10 + [503] * 5
    assert gate.in_flight == 0


async def test_a_crash_frees_its_place():
    async def crash(scope, receive, send):
        raise ValueError("x")

    gate = GateMiddleware(crash, lifecycle=lifecycle())
    with pytest.raises(ValueError, match="x"):
        await ask(gate)
    assert gate.in_flight == 0


async def test_other_scope_types_pass():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    gate = GateMiddleware(inner, lifecycle=Lifecycle())
    for kind in ("lifespan", "websocket"):
        await gate({"type": kind}, None, None)
    assert seen == ["lifespan", "websocket"]


def test_why_a_gateway_is_not_ready():
    state = Lifecycle()
    assert state.not_ready() == "not running"
    state.running = True
    assert state.not_ready() is None
    state.checks += [lambda: None, lambda: "discovery is stale", lambda: "later"]
    assert state.not_ready() == "discovery is stale"
    state.draining = True
    assert state.not_ready() == "draining"
