"""RequestIdMiddleware (F68, F77)."""

import asyncio
from random import Random

import pytest

from aibrix_mw.middleware.request_id import RequestIdMiddleware
from aibrix_mw.scope import REQUEST_ID
from tests.support import Client, settle


class Inner:
    def __init__(self):
        self.seen = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send):
        self.seen.append(REQUEST_ID.require(scope))
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def client_with(app, request_id=None):
    return Client(app, headers=[] if request_id is None else [(b"x-request-id", request_id)])


@pytest.mark.parametrize("request_id", [b"a", b"Az09._-", b"x" * 128])
async def test_a_valid_id_is_kept(request_id):
    inner = Inner()
    reply = await client_with(RequestIdMiddleware(inner), request_id).ask()
    assert reply.header("x-request-id") == request_id
    assert inner.seen == [request_id]


@pytest.mark.parametrize(
    "request_id", [None, b"", b"x" * 129, b"x" * 10_240, b"a b", b"a\n", b"\xff", b"a/b", b"a\r\nb"]
)
async def test_f68_anything_else_is_replaced(request_id):
    inner = Inner()
    reply = await client_with(RequestIdMiddleware(inner, rng=Random(1)), request_id).ask()
    made = reply.header("x-request-id")
    assert inner.seen == [made]
    assert len(made) == 32
    assert int(made, 16) == Random(1).getrandbits(128)


async def test_ids_are_random():
    app = RequestIdMiddleware(Inner())
    made = {(await client_with(app).ask()).header("x-request-id") for _ in range(50)}
    assert len(made) == 50


@pytest.mark.parametrize("request_id", [b"conversation-1", b"x" * 128])
async def test_f77_engines_never_see_one_id_twice_at_a_time(request_id):
    inner = Inner()
    app = RequestIdMiddleware(inner, rng=Random(1))
    inner.go.clear()
    tasks = [client_with(app, request_id).start() for _ in range(3)]
    await settle()
    assert len(set(inner.seen)) == 3
    assert inner.seen[0] == request_id
    assert all(len(seen) <= 128 and seen.startswith(request_id[:119]) for seen in inner.seen)
    inner.go.set()
    replies = await asyncio.gather(*tasks)
    assert {reply.header("x-request-id") for reply in replies} == {request_id}


async def test_an_id_is_free_again_after_the_end():
    inner = Inner()
    app = RequestIdMiddleware(inner)
    for _ in range(2):
        await client_with(app, b"one").ask()
    assert inner.seen == [b"one", b"one"]
    assert not app._in_flight


async def test_an_id_is_free_again_after_a_crash():
    async def crash(scope, receive, send):
        raise ValueError("x")

    app = RequestIdMiddleware(crash)
    with pytest.raises(ValueError, match="x"):
        await client_with(app, b"one").ask()
    assert not app._in_flight


async def test_other_scope_types_pass():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope)

    await RequestIdMiddleware(inner)({"type": "lifespan"}, None, None)
    assert seen == [{"type": "lifespan"}]
