"""The client leaves, in each phase, told by our own server's extension or by a plain ASGI server (F37, F38)."""

import asyncio

import pytest

from tests.support import BODY, SSE_HEADERS, STREAM_BODY, Client, FakeAnswer, FakeUpstream, Running, ask, settle

FORM_HEADERS = [(b"content-type", b"multipart/form-data; boundary=xyz")]
MODEL_PART = b'--xyz\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--xyz\r\n'


@pytest.fixture(params=[True, False], ids=["extension", "receive"])
def extension(request):
    return request.param


async def leave(running, client):
    """Leave while the request is under way; it ends at once, and is counted as what it is."""
    task = client.start()
    await settle()
    assert not task.done()
    sent = len(client.reply.messages)
    client.leave()
    await settle()
    assert task.done()
    reply = await task
    assert len(reply.messages) == sent
    assert not reply.complete
    assert running.in_flight == [0, 0]
    ((key, times),) = (await running.outcomes()).items()
    assert (key[2:], times) == (("499", "client_cancelled"), 1)
    assert client.callback is None
    return reply


@pytest.mark.parametrize("chunks", [[BODY[:10]], []])
async def test_while_its_body_arrives(chunks):
    async with Running() as running:
        await leave(running, Client(running.gateway, chunks, ended=False))
        assert running.upstream.requests == []


async def test_while_the_rest_of_a_form_arrives(extension):
    async with Running() as running:
        path = "/v1/audio/transcriptions"
        client = Client(running.gateway, [MODEL_PART, b"x"], path, FORM_HEADERS, ended=False, extension=extension)
        await leave(running, client)
        assert running.upstream.aborted == 1


async def test_while_connecting_or_waiting_for_the_head(extension):
    async with Running(lambda _: asyncio.Event()) as running:
        await leave(running, Client(running.gateway, extension=extension))
        assert running.upstream.aborted == 1
        cancelled = await running.counted("aibrix_gateway_client_cancelled_total", "model")
        assert cancelled == {("m",): 1}


@pytest.mark.parametrize("status", [200, 503])
async def test_while_waiting_for_the_first_byte(extension, status):
    answer = FakeAnswer(asyncio.Event(), b"x", status=status)
    async with Running(lambda _: answer) as running:
        await leave(running, Client(running.gateway, extension=extension))
    assert answer.closed


async def test_while_streaming(extension):
    answer = FakeAnswer(b"data: 1\n\n", asyncio.Event(), b"data: 2\n\n", headers=SSE_HEADERS)
    async with Running(lambda _: answer) as running:
        reply = await leave(running, Client(running.gateway, STREAM_BODY, extension=extension))
        assert reply.body == b"data: 1\n\n"
    assert answer.closed


async def test_while_a_503_is_passed_on(extension):
    answer = FakeAnswer(b"busy", asyncio.Event(), b"!", status=503)
    async with Running(lambda _: answer, routing={"attempts": 1}) as running:
        await leave(running, Client(running.gateway, extension=extension))
    assert answer.closed


async def test_during_the_second_attempt(extension):
    answers = [FakeAnswer(b"busy", status=503), FakeAnswer(asyncio.Event(), b"x")]
    remaining = list(answers)
    async with Running(lambda _: remaining.pop(0)) as running:
        await leave(running, Client(running.gateway, extension=extension))
    assert all(answer.closed for answer in answers)


# --- a server that raises when it is asked to send, as the ASGI specification allows


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("chunks", [(b"x",), (b"x", b"y"), (b"x", b"")])
async def test_the_server_cannot_send(status, chunks):
    answer = FakeAnswer(*chunks, status=status)
    async with Running(lambda _: answer, routing={"attempts": 1}) as running:
        client = Client(running.gateway)
        client.broken = True
        await client.ask()
        assert await running.outcomes() == {("m", "default", "499", "client_cancelled"): 1}
        assert running.in_flight == [0, 0]
    assert answer.closed


async def test_f38_nothing_more_is_read_from_the_engine():
    answer = FakeAnswer(b"1", b"2", b"3", b"4", headers=SSE_HEADERS)
    async with Running(lambda _: answer) as running:
        client = Client(running.gateway, STREAM_BODY)
        passed = client._send

        async def send(message):
            await passed(message)
            client.broken = bool(client.reply.chunks)

        client._send = send
        await client.ask()
    assert client.reply.body == b"1"
    assert answer.steps == [b"3", b"4"]
    assert answer.closed


async def test_a_client_that_leaves_after_the_end_changes_nothing(extension):
    async with Running(lambda _: FakeAnswer(b"x")) as running:
        client = Client(running.gateway, extension=extension)
        reply = await client.ask()
        client.leave()
        await settle()
        assert reply.complete
        assert await running.outcomes() == {("m", "default", "200", "ok"): 1}


async def test_the_next_request_is_not_touched():
    upstream = FakeUpstream(lambda _: asyncio.Event())
    async with Running() as running:
        running.gateway.upstream.plain = upstream
        clients = [Client(running.gateway) for _ in range(4)]
        tasks = [client.start() for client in clients]
        await settle()
        clients[1].leave()
        await settle()
        assert [task.done() for task in tasks] == [False, True, False, False]
        assert upstream.aborted == 1
        for client in clients:
            client.leave()
        await asyncio.gather(*tasks)
        upstream.script = lambda _: FakeAnswer(b"x")
        assert (await ask(running.gateway)).status == 200
