"""The decode leg fails: what is tried next, and what the client sees (F73, F74)."""

import asyncio

import pytest

from tests.legs import PAIR, Engines, answer, cannot_connect, disaggregated, fallbacks, hosts, leg, reset
from tests.support import Client, FakeAnswer

ELSEWHERE = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill", "b"), leg(4, "decode", "b")]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_decode_pod_that_cannot_fetch_gets_a_fresh_prefill_elsewhere(status):
    async with disaggregated(
        Engines((1, 3), pod2=[answer(b"kv", status)], pod4=[answer(b"kv", status)]), ELSEWHERE
    ) as run:
        reply = await run.ask()
        assert reply.status == 200
        first, second, third, fourth, fifth = hosts(run)
        assert {(first, second), (third, fourth)} == {(1, 2), (3, 4)}
        assert fifth in {2, 4}  # both failed: the fallback
        assert run.in_flight == [0] * 4
        assert await fallbacks(run) == {("m", "decode_failed"): 1}


async def test_the_same_decode_pod_with_another_prefill_pod():
    """Its prefill pod died after it had answered (F73)."""
    pods = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill")]
    async with disaggregated(Engines((1, 3), pod2=[answer(b"kv", 500)]), pods) as running:
        reply = await running.ask()
        assert (reply.status, reply.header("x-aibrix-pd")) == (200, None)
        first, *rest = hosts(running)
        assert rest == [2, {1: 3, 3: 1}[first], 2]
        # a 500 says nothing of the pod
        assert running.gateway.choosing.admission.ejection._health == {}


async def test_a_decode_pod_that_is_gone():
    pods = [leg(1, "prefill"), leg(2, "decode"), leg(3, "decode")]
    async with disaggregated(Engines(pod2=[cannot_connect()], pod3=[cannot_connect()]), pods) as running:
        reply = await running.ask()
        assert reply.status == 200
        assert hosts(running)[0] == hosts(running)[2] == 1
        assert {*hosts(running)[1:4:2]} == {2, 3}


async def test_a_500_of_a_pod_that_serves_alone_is_passed_on():
    async with disaggregated(Engines(pod2=[answer(b"kv", 500)]), PAIR[1:]) as running:
        reply = await running.ask()
        assert (reply.status, reply.body) == (500, b"kv")
        assert hosts(running) == [2]


async def test_the_last_answer_of_a_decode_pod_is_passed_on():
    async with disaggregated(Engines(pod2=[answer(b"kv", 500)] * 3), routing={"pd_fallback": "refuse"}) as running:
        reply = await running.ask()
        assert (reply.status, reply.body) == (500, b"kv")
        assert hosts(running) == [1, 2]


async def test_a_decode_leg_that_breaks_after_its_first_byte_is_not_repeated():
    broken = FakeAnswer(b'{"ok"', reset())
    async with disaggregated(Engines(pod2=[broken])) as running:
        reply = await running.ask()
        assert (reply.status, reply.complete, broken.closed) == (200, False, True)
        assert hosts(running) == [1, 2]
        assert running.in_flight == [0, 0]


async def test_the_client_leaves_during_decode():
    waiting = FakeAnswer(asyncio.Event(), b"{}")
    async with disaggregated(Engines(pod2=[waiting])) as running:
        client = Client(running.gateway, extension=True)
        task = client.start()
        await waiting.reading.wait()
        client.leave()
        await task
        assert waiting.closed
        assert running.in_flight == [0, 0]


async def test_ejection_never_takes_the_last_decode_pod():
    engines = Engines(pod2=[reset() for _ in range(12)])
    async with disaggregated(engines, routing={"pd_fallback": "refuse"}) as running:
        for _ in range(6):
            await running.ask()
        engines.steps.clear()
        assert (await running.ask()).status == 200
