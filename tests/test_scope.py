"""Slots, and headers that travel up."""

import pytest

from aibrix_mw.errors import NoReadyPods
from aibrix_mw.scope import (
    ANSWER_HEADERS,
    OUTCOME,
    REFUNDED,
    REQUEST,
    InferencePaths,
    Slot,
    answer_headers,
    give_back_on_refund,
    headers_of,
    refuse,
)
from tests.support import Client, ask, ask_for


def test_a_slot():
    slot = Slot("thing", "ThingMiddleware")
    scope = {}
    assert slot.get(scope) is None
    slot.put(scope, 5)
    assert (slot.get(scope), slot.require(scope)) == (5, 5)
    assert scope == {"aibrix_mw.thing": 5}


def test_a_missing_slot_names_the_middleware():
    with pytest.raises(LookupError, match=r"aibrix_mw\.request is not in the scope: ModelMiddleware must be outside"):
        REQUEST.require({})


def test_headers_by_name_are_made_once():
    scope = {"headers": [(b"a", b"1"), (b"a", b"2"), (b"b", b"3")]}
    assert headers_of(scope) == {b"a": b"2", b"b": b"3"}
    assert headers_of(scope) is headers_of(scope)


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"own", b"1")]})
    await send({"type": "http.response.body", "body": b"x"})


async def test_headers_from_several_layers_cost_one_wrapper():
    sends = []

    async def app(scope, receive, send):
        outer = answer_headers(scope, send, [(b"a", b"1")])
        inner = answer_headers(scope, outer, [(b"b", b"2")])
        sends.extend((send, outer, inner))
        await answer(scope, receive, inner)

    reply = await ask(app)
    assert reply.headers == [(b"own", b"1"), (b"a", b"1"), (b"b", b"2")]
    assert sends[0] is not sends[1]
    assert sends[1] is sends[2]


async def test_an_answer_without_headers_gets_them_too():
    async def app(scope, receive, send):
        send = answer_headers(scope, send, [(b"a", b"1")])
        assert ANSWER_HEADERS.get(scope) == [(b"a", b"1")]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    assert (await ask(app)).headers == [(b"a", b"1")]


async def test_what_an_answer_gives_back_goes_before_it():
    done = []

    async def app(scope, receive, send):
        send = answer_headers(scope, send, ())
        for name in ("outer", "inner"):

            async def give_back(name=name):
                done.append((name, [*client.reply.messages]))

            give_back_on_refund(scope, give_back)
        await send({"type": "http.response.start", "status": 502, "aibrix_mw.refund": True})
        await send({"type": "http.response.body", "body": b""})

    client = Client(app)
    assert (await client.ask()).status == 502
    assert done == [("inner", []), ("outer", [])]
    assert REFUNDED.get(client.scope)


async def test_an_answer_that_gives_nothing_back():
    async def app(scope, receive, send):
        give_back_on_refund(scope, pytest.fail)
        await inner(scope, receive, answer_headers(scope, send, ()))

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    client = Client(app)
    assert (await client.ask()).status == 200
    assert REFUNDED.get(client.scope) is None


async def test_a_refusal_is_an_answer_and_an_outcome():
    client = Client(lambda scope, receive, send: refuse(NoReadyPods("m"), scope, receive, send))
    reply = await client.ask()
    assert reply.status == 503
    assert OUTCOME.require(client.scope).name == "no_ready_pods"


def test_what_inference_paths_match():
    paths = InferencePaths(["/v1/completions"])
    scope = {"type": "http", "method": "POST", "path": "/v1/completions"}
    assert paths.match(scope)
    assert not paths.match(scope | {"method": "GET"})
    assert not paths.match(scope | {"path": "/v1/embeddings"})
    assert not paths.match({"type": "websocket", "path": "/v1/completions"})
    assert paths.match(scope | {"path": "/x/v1/completions", "root_path": "/x"})


def test_the_request_of_a_scope():
    paths = InferencePaths()
    scope = {"type": "http", "method": "POST", "path": "/v1/completions"}
    with pytest.raises(LookupError, match="ModelMiddleware"):
        paths.request(scope)
    request = ask_for()
    REQUEST.put(scope, request)
    assert paths.request(scope) is request
    assert paths.request({"type": "http", "method": "GET", "path": "/"}) is None
