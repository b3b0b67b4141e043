"""The client's body, and whether the client is still there (F11, F37)."""

import asyncio

import pytest

from aibrix_mw.client import BodyReader, ClientLeft, Presence
from aibrix_mw.errors import RequestTooLarge
from tests.support import Client, settle


def receiving(*messages):
    remaining = list(messages)

    async def receive():
        return remaining.pop(0)

    return receive


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


async def test_a_body_of_one_chunk_is_not_copied():
    chunk = b"x" * 1000
    reader = BodyReader(receiving(part(chunk, more=False)), 1000)
    assert await reader.all() is chunk


async def test_a_body_of_several_chunks():
    reader = BodyReader(receiving(part(b""), part(b"a"), part(b"b"), {"type": "http.request"}), 10)
    assert await reader.all() == b"ab"
    assert not reader.more


async def test_f11_the_running_total_is_bounded():
    reader = BodyReader(receiving(part(b"12345"), part(b"6"), part(b"never read")), 5)
    with pytest.raises(RequestTooLarge):
        await reader.all()
    assert reader.body == b"12345"


async def test_the_client_leaves_while_its_body_arrives():
    with pytest.raises(ClientLeft):
        await BodyReader(receiving(part(b"a"), GONE), 10).all()


async def test_the_body_can_be_read_again():
    reader = BodyReader(receiving(part(b"a"), part(b"b"), part(b"c", more=False), GONE), 10)
    await reader.next()
    await reader.next()
    receive = reader.replay()
    assert [await receive() for _ in range(3)] == [part(b"ab"), part(b"c", more=False), GONE]


# --- presence


async def waiting(client, listen=True):
    """Wait for ever, as long as the client is there."""
    with Presence(client.scope, client._receive) as presence:
        if listen:
            presence.listen()
        await asyncio.Event().wait()
    return presence.left


@pytest.mark.parametrize("extension", [True, False])
async def test_f37_leaving_ends_the_block(extension):
    client = Client(None, extension=extension)
    task = asyncio.ensure_future(waiting(client))
    await settle()
    client.leave()
    assert await task
    assert task.cancelling() == 0


async def test_the_extension_works_before_the_body_is_read():
    client = Client(None, extension=True)
    task = asyncio.ensure_future(waiting(client, listen=False))
    await settle()
    client.leave()
    client.leave()
    assert await task
    assert client.received == 0


@pytest.mark.parametrize("extension", [True, False])
async def test_a_block_that_ends_by_itself(extension):
    client = Client(None, extension=extension)
    with Presence(client.scope, client._receive) as presence:
        presence.listen()
        await settle()
    assert not presence.left
    client.leave()
    await settle()
    assert not presence.left
    assert client.callback is None


@pytest.mark.parametrize("extension", [True, False])
async def test_cancelling_from_elsewhere_stays_a_cancellation(extension):
    task = asyncio.ensure_future(waiting(Client(None, extension=extension)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_and_being_cancelled_at_once():
    client = Client(None, extension=True)
    task = asyncio.ensure_future(waiting(client))
    await settle()
    client.leave()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_pass():
    client = Client(None, extension=True)
    with pytest.raises(ValueError, match="x"), Presence(client.scope, client._receive):
        raise ValueError("x")


async def test_a_scope_without_extensions():
    client = Client(None)
    del client.scope["extensions"]
    task = asyncio.ensure_future(waiting(client))
    await settle()
    client.leave()
    assert await task
