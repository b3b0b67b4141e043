"""F76: bodies that wait for a first byte, all of them together."""

import asyncio

import pytest

from aibrix_mw.middleware.model import ModelMiddleware
from aibrix_mw.request import LARGE_BYTES
from tests.support import SSE_HEADERS, Client, FakeAnswer, Running, ask_for, settle

SIZE = 64 * 1024
PIECE = 16 * 1024


def body_of(size, more=b""):
    start = b'{"model": "m", "stream": true%b, "prompt": "' % more
    return start + b"x" * (size - len(start) - 2) + b'"}'


class Waiting(Running):
    """A gateway with room for four bodies, whose engines say nothing until they are told to."""

    def __init__(self, *steps, **settings):
        self.silence = asyncio.Event()
        script = lambda _: FakeAnswer(self.silence, b"data: 1\n\n", *steps, b"", headers=SSE_HEADERS)  # noqa: E731
        limits = {"max_body_bytes": SIZE, "max_replay_bytes": SIZE, "max_buffered_bytes": 4 * SIZE}
        super().__init__(script, limits=limits, **settings)

    @property
    def buffered(self):
        return self.gateway.layers[ModelMiddleware].buffered

    async def send(self, count, body, **options):
        clients = [Client(self.gateway, body, **options) for _ in range(count)]
        tasks = [client.start() for client in clients]
        await settle(20)
        return clients, tasks


@pytest.mark.parametrize("pieces", [1, 4])
async def test_f76_what_all_bodies_take_is_bounded(pieces):
    body = body_of(SIZE)
    chunks = [body[at : at + SIZE // pieces] for at in range(0, SIZE, SIZE // pieces)]
    async with Waiting() as running:
        _, tasks = await running.send(200, chunks)
        refused = [await task for task in tasks if task.done()]
        assert len(refused) == 196
        for reply in refused:
            assert (reply.status, reply.header("retry-after")) == (503, b"2")
            assert reply.json()["error"]["code"] == "service_unavailable"
        assert running.buffered.held == 4 * SIZE
        assert len(running.upstream.requests) == 4
        running.silence.set()
        assert [task.result().status for task in tasks if await task] == [200 if n < 4 else 503 for n in range(200)]
        assert running.buffered.held == 0
        outcomes = {key[2:]: times for key, times in (await running.outcomes()).items()}
        assert outcomes == {("200", "ok"): 4, ("503", "overloaded"): 196}


async def test_f76_by_its_length_before_it_is_sent():
    async with Waiting() as running:
        await running.send(4, body_of(SIZE))
        length = (b"content-length", b"%d" % SIZE)
        client = Client(running.gateway, body_of(SIZE), headers=[length])
        assert ((await client.ask()).status, client.received) == (503, 0)
        running.silence.set()


async def test_f76_a_large_body_is_let_go_at_the_first_byte():
    """A stream may be long, and needs the body no more; what limits and strategies ask for stays."""
    streaming = asyncio.Event()
    async with Waiting(streaming) as running:
        clients, tasks = await running.send(4, body_of(SIZE, b', "max_tokens": 7'))
        requests = [client.scope["aibrix_mw.request"] for client in clients]
        before = [(request.prompt_tokens, request.max_tokens, request.stream) for request in requests]
        assert running.buffered.held == 4 * SIZE
        running.silence.set()
        await settle()
        assert running.buffered.held == 0
        assert [len(request.body) for request in requests] == [0] * 4
        assert [(request.prompt_tokens, request.max_tokens, request.stream) for request in requests] == before
        assert before[0][1:] == (7, True)
        assert (await running.send(4, body_of(SIZE)))[1]
        assert running.buffered.held == 0  # theirs have come to the first byte too
        streaming.set()
        assert {(await task).complete for task in tasks} == {True}


async def test_f76_a_small_body_is_held_to_the_end():
    streaming = asyncio.Event()
    async with Waiting(streaming) as running:
        _, tasks = await running.send(2, body_of(LARGE_BYTES - 1))
        running.silence.set()
        await settle()
        assert running.buffered.held == 2 * (LARGE_BYTES - 1)
        streaming.set()
        await asyncio.gather(*tasks)
        assert running.buffered.held == 0


async def test_f76_who_leaves_or_is_refused_takes_nothing():
    async with Waiting() as running:
        clients, tasks = await running.send(4, body_of(SIZE), extension=True)
        _, (task,) = await running.send(1, body_of(SIZE)[:PIECE], ended=False)
        assert (await task).status == 503
        for client in clients:
            client.leave()
        await asyncio.gather(*tasks)
        assert running.buffered.held == 0
        assert (await running.ask(b"{" + b" " * 1000)).status == 400
        assert running.buffered.held == 0


async def test_f76_a_changed_body_counts_twice():
    """Whoever is inside may read what came."""
    async with Waiting(models={"m": {"aliases": ["other"]}}) as running:
        body = body_of(SIZE).replace(b'"m"', b'"other"')[:-6] + b'"}'
        _, tasks = await running.send(3, body)
        assert running.buffered.held == 2 * (len(body) + len(body) - 4)
        assert [task.done() for task in tasks] == [False, False, True]
        running.silence.set()
        assert [(await task).status for task in tasks] == [200, 200, 503]


def test_a_request_that_nobody_counts_is_let_go_of_by_nobody():
    request = ask_for(body_of(SIZE))
    request.let_go()
    assert len(request.body) == SIZE
