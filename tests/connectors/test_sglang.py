"""SGLang's bootstrap: exact bodies of both legs, at the same time, and what a failed leg does to the other."""

import asyncio
import json
from random import Random

import pytest

from aibrix_mw.connectors.sglang import Sglang
from aibrix_mw.errors import UpstreamError
from tests.legs import Engines, answer, disaggregated, leg
from tests.support import Client, FakeAnswer, info, settle

PORT = {"model.aibrix.ai/sglang-bootstrap-port": "9001"}
PODS = [leg(1, "prefill", engine="sglang", annotations=PORT), leg(2, "decode", engine="sglang")]
BODY = b'{"model":"m","prompt":"x","stream":true,"max_tokens":9}'


def test_rooms_are_non_negative_and_all_over_63_bits():
    rng = Random(1)
    rooms = [int(Sglang().to_prefill(info(), rng)["bootstrap_room"]) for _ in range(200)]
    assert min(rooms) >= 0
    assert 2**62 < max(rooms) < 2**63
    assert len(set(rooms)) == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_both_legs_meet_in_a_room(path):
    async with disaggregated(pods=PODS) as running:
        reply = await running.ask(BODY, path)
        assert reply.status == 200
        by_host = {request.address.host: json.loads(request.body) for request in running.upstream.requests}
        prefill, decode = by_host["10.0.0.1"], by_host["10.0.0.2"]
        room = {key: decode[key] for key in ("bootstrap_host", "bootstrap_port", "bootstrap_room")}
        assert room["bootstrap_host"] == "10.0.0.1"
        assert room["bootstrap_port"] == 9001
        assert prefill == {
            "model": "m",
            "prompt": "x",
            "stream": False,
            "max_tokens": 1,
            "max_completion_tokens": 1,
            **room,
        }
        assert decode == {**json.loads(BODY), **room}
        assert running.in_flight == [0, 0]


async def test_both_are_asked_before_either_answers():
    async with disaggregated(lambda _: asyncio.Event(), PODS) as running:
        client = Client(running.gateway, BODY)
        task = client.start()
        await settle()
        assert sorted(running.upstream.hosts) == ["10.0.0.1", "10.0.0.2"]
        assert running.in_flight == [1, 1]
        client.leave()
        await settle(10)
        assert task.done()
        assert running.upstream.aborted == 2
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", "499", "client_cancelled"): 1}


@pytest.mark.parametrize("how", ["refused", "500"])
async def test_a_failed_prefill_aborts_decode(how):
    gate = asyncio.Event()

    def engines(request):
        if request.address.host == "10.0.0.2":
            return asyncio.Event()
        if how == "500":
            return answer(b"no", 500)
        return UpstreamError("the engine cannot be reached", "connect")

    async with disaggregated(engines, PODS) as running:
        gate.set()
        reply = await running.ask(BODY)
        assert (reply.status, reply.header("x-error-routing")) == (503, b"true")
        assert running.upstream.aborted == 1  # the decode leg; SGLang's cannot serve alone
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", "503", "pd_error"): 1}
        errors = await running.counted("aibrix_gateway_pd_prefill_errors_total", "reason")
        assert errors == {("status_500" if how == "500" else "connect",): 1}


async def test_a_prefill_that_fails_after_the_first_byte_of_the_answer_changes_nothing():
    failing, going_on = asyncio.Event(), asyncio.Event()
    stream = FakeAnswer(b"data: 1\n\n", going_on, b"data: 2\n\n")
    prefill = FakeAnswer(failing, UpstreamError("the engine closed the connection", "reset"))
    async with disaggregated(Engines(pod1=[prefill], pod2=[stream]), PODS) as running:
        client = Client(running.gateway, BODY)
        task = client.start()
        await stream.reading.wait()
        failing.set()
        await settle()
        going_on.set()
        reply = await task
        assert reply.body == b"data: 1\n\ndata: 2\n\n"
        assert running.in_flight == [0, 0]


async def test_a_prefill_leg_that_is_not_over_ends_with_the_answer():
    prefill = FakeAnswer(asyncio.Event())
    async with disaggregated(Engines(pod1=[prefill]), PODS) as running:
        assert (await running.ask(BODY)).status == 200
        assert prefill.closed
        assert running.in_flight == [0, 0]
        assert await running.counted("aibrix_gateway_pd_prefill_errors_total", "reason") == {}


async def test_a_failed_decode_ends_the_prefill_leg_and_both_are_tried_elsewhere():
    first = FakeAnswer(asyncio.Event())
    pods = [*PODS, leg(3, "prefill", "b", engine="sglang"), leg(4, "decode", "b", engine="sglang")]
    gone = {f"pod{n}": [UpstreamError("the engine closed the connection", "reset")] for n in (2,)}
    async with disaggregated(Engines((1, 3), pod1=[first], **gone), pods) as running:
        for _ in range(10):
            assert (await running.ask(BODY)).status == 200
        assert first.closed
        assert running.in_flight == [0] * 4


async def test_what_the_prefill_pod_finds_wrong():
    def engines(request):
        return asyncio.Event() if request.address.host == "10.0.0.2" else answer(b'{"error":1}', 400)

    async with disaggregated(engines, PODS) as running:
        reply = await running.ask(BODY)
        assert (reply.status, reply.body) == (400, b'{"error":1}')
        assert running.upstream.aborted == 1
