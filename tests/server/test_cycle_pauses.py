"""Reading and writing that pause, clients that leave meanwhile, and what is left behind."""

import asyncio
import gc
import weakref

import pytest

from aibrix_mw.client import ON_DISCONNECT
from tests.server.wire import BODY, DISCONNECT, GET, POST, Listening, Wire, echo, saying, settle, start, whole

LARGE = 65537


def large(length=LARGE):
    return POST.replace(b" 6\r", b" %d\r" % length)


async def test_reading_waits_for_the_application():
    wire = Wire(app := Listening())
    await wire.send(large(2 * LARGE), bytes(LARGE - 1))
    assert wire.transport.is_reading()
    await wire.send(b"x")
    assert not wire.transport.is_reading()
    assert len((await app.next())["body"]) == LARGE
    assert wire.transport.is_reading()


async def test_reading_goes_on_after_a_large_body_so_that_the_client_can_be_seen_leaving():
    wire = Wire(app := Listening())
    await wire.send(large() + bytes(LARGE))
    assert not wire.transport.is_reading()
    assert not (await app.next())["more_body"]
    assert wire.transport.is_reading()


async def test_what_follows_an_early_answer_is_read_and_forgotten():
    wire = Wire(whole(b"no", status=413))
    assert (await wire.send(large(2 * LARGE), bytes(LARGE))).endswith(b"\r\n\r\nno")
    assert wire.transport.is_reading()
    assert await wire.send(bytes(LARGE)) == b""
    assert (await wire.send(GET)).endswith(b"\r\n\r\nno")


async def test_writing_waits_for_the_client_except_after_the_end():
    sent = []

    async def app(_scope, _receive, send):
        for message in (start(), {"type": BODY, "body": b"1", "more_body": True}, {"type": BODY, "body": b"2"}):
            await send(message)
            sent.append(message["type"])

    wire = Wire(app)
    wire.protocol.pause_writing()
    await wire.send(GET)
    assert sent == []
    wire.protocol.resume_writing()
    await settle()
    assert len(sent) == 3

    wire = Wire(saying(start(), {"type": BODY}))
    wire.protocol.data_received(GET)
    wire.transport.write = lambda _data: wire.protocol.pause_writing()
    await settle()
    assert wire.protocol.tasks == set()


async def test_who_waits_to_write_hears_that_the_client_has_left():
    wire = Wire(saying(start(), {"type": BODY, "body": b"1", "more_body": True}))
    wire.protocol.pause_writing()
    await wire.send(GET)
    assert len(wire.protocol.tasks) == 1
    await wire.leave()
    assert wire.protocol.tasks == set()


# --- clients that leave


@pytest.mark.parametrize("sent", [GET, POST + b"foo"])
async def test_the_client_leaves_before_the_answer(sent, log):
    wire = Wire(app := Listening())
    called = []
    await wire.send(sent)
    wire.protocol.on_disconnect(lambda: called.append(1))
    await app.next()
    await app.next()
    await wire.leave()
    assert app.heard[1:] == [DISCONNECT]
    assert await app.next() == DISCONNECT
    assert called == [1]
    await app.send(start())
    await app.send(start())
    app.answer.set()
    app.end.set()
    await settle()
    assert wire.transport.writes == []
    assert wire.protocol.tasks == wire.protocol.connections == set()
    assert log() == []


async def test_the_client_leaves_after_the_answer():
    wire = Wire(whole())
    called = []
    await wire.send(GET)
    wire.protocol.on_disconnect(lambda: called.append(1))
    wire.protocol.on_disconnect(None)
    await wire.leave()
    assert (called, wire.protocol.connections) == ([], set())


async def test_who_asks_too_late_is_called_too():
    wire = Wire(whole())
    await wire.leave()
    called = []
    wire.protocol.on_disconnect(lambda: called.append(1))
    assert called == []
    await settle()
    assert called == [1]


async def test_the_scope_offers_the_callback():
    async def app(scope, receive, send):
        scope["extensions"][ON_DISCONNECT](left.set)
        await asyncio.Event().wait()

    left = asyncio.Event()
    wire = Wire(app)
    await wire.send(GET)
    await wire.leave()
    assert left.is_set()
    for task in wire.protocol.tasks:
        task.cancel()
    await settle()


async def test_an_idle_connection_keeps_nothing_of_its_last_request():
    class Thing:
        pass

    async def app(scope, receive, send):
        scope["thing"] = thing = Thing()
        things.append(weakref.ref(thing))
        await echo(scope, receive, send)

    things = []
    wire = Wire(app)
    await wire.send(POST + b"foobar")
    gc.collect()
    assert [thing() for thing in things] == [None]
    assert not wire.closed
