"""What an application hears of a request: its body, when it comes, and that it has been answered."""

import pytest

from tests.server.wire import (
    BODY,
    CHUNKED,
    DISCONNECT,
    GET,
    POST,
    Listening,
    Wire,
    echo,
    read_all,
    settle,
    start,
    whole,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTING = POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-Continue \r\n\r\n")


def piece(body, more_body=True):
    return {"type": "http.request", "body": body, "more_body": more_body}


async def test_the_whole_body_is_one_event_and_the_next_is_that_it_has_been_answered():
    wire = Wire(app := Listening())
    await wire.send(POST + b"foobar")
    assert await app.next() == piece(b"foobar", False)
    assert await app.next() is None
    app.answer.set()
    await settle()
    assert app.heard[1:] == [DISCONNECT]
    assert await app.next() == DISCONNECT


async def test_no_body_is_an_event_too():
    wire = Wire(app := Listening())
    await wire.send(GET)
    assert await app.next() == piece(b"", False)


async def test_pieces_are_joined_until_they_are_asked_for():
    wire = Wire(app := Listening())
    await wire.send(POST, b"f", b"oo")
    assert await app.next() == piece(b"foo")
    assert await app.next() is None
    await wire.send(b"b")
    assert app.heard[1:] == [piece(b"b")]
    await wire.send(b"ar")
    assert await app.next() == piece(b"ar", False)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_however_it_is_cut_the_body_arrives(size):
    request = CHUNKED + b"3\r\nfoo\r\n3;x=y\r\nbar\r\n0\r\n\r\n"
    pieces = [request[at : at + size] for at in range(0, len(request), size)]
    assert (await Wire(echo).send(*pieces)).endswith(b"\r\n\r\nfoobar")


async def test_trailers_are_no_headers():
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope["headers"])
        await echo(scope, receive, send)

    wire = Wire(app)
    await wire.send(CHUNKED + b"0\r\nauthorization: me\r\n\r\n" + GET)
    assert scopes == [[(b"host", b"a"), (b"transfer-encoding", b"chunked")], [(b"host", b"a")]]


# --- 100 Continue


async def test_a_client_that_waits_is_invited():
    wire = Wire(echo)
    assert await wire.send(EXPECTING) == CONTINUE
    assert (await wire.send(b"foo", b"bar")).endswith(b"content-length: 6\r\n\r\nfoobar")
    assert not wire.closed


@pytest.mark.parametrize("request_", [POST, EXPECTING.replace(b"1.1", b"1.0"), EXPECTING.replace(b"100-C", b"200-C")])
async def test_no_other_client_is_invited(request_):
    assert await Wire(echo).send(request_) == b""


async def test_who_has_sent_the_body_is_not_invited():
    assert (await Wire(echo).send(EXPECTING + b"foobar")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_who_is_answered_without_the_body_is_not_invited_and_cannot_go_on():
    """The client may leave out the body now or not: where the next request starts is not to be known."""
    wire = Wire(whole(b"no", status=413))
    answer = await wire.send(EXPECTING)
    assert answer == b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    assert wire.closed


async def test_nobody_is_invited_after_the_head():
    async def app(scope, receive, send):
        await send(start())
        await read_all(receive)
        await send({"type": BODY})

    wire = Wire(app)
    assert await wire.send(EXPECTING) == b""
    assert CONTINUE not in await wire.send(b"foobar")
