"""The prefill leg fails: what is tried next, what is counted, and what the client sees (F73, F74)."""

import asyncio
import json

import pytest

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from tests.legs import PAIR, PARAMS, WHOLE, Engines, answer, cannot_connect, disaggregated, fallbacks, hosts, leg, reset
from tests.support import BODY, Client, FakeAnswer, settle

MIXED = {"model.aibrix.ai/pd-compatibility": "v2"}


PREFILL_FAULTS = {
    "connect": cannot_connect,
    "reset": reset,
    "timeout": lambda: UpstreamTimeout("prefill_timeout"),
    "status_500": lambda: answer(b"broken", 500),
    "status_503": lambda: answer(b"busy", 503),
    "malformed": lambda: FakeAnswer(UpstreamError("the engine's answer is malformed", "malformed")),
}
BAD_ANSWERS = [b"", b"{", b"[]", b'{"kv_transfer_params": 7}', b'{"kv_transfer_params": null}', b"{}", b"\xff"]


async def errors(running):
    return await running.counted("aibrix_gateway_pd_prefill_errors_total", "model", "reason")


@pytest.mark.parametrize("kind", PREFILL_FAULTS)
async def test_a_failed_prefill_and_nobody_else(kind, log):
    async with disaggregated(Engines(pod1=[PREFILL_FAULTS[kind]()])) as running:
        reply = await running.ask()
        assert (reply.status, reply.body) == (200, b'{"ok": true}')
        assert (reply.header("x-aibrix-pd"), reply.header("prefill-target-pod")) == (b"fallback", None)
        assert hosts(running) == [1, 2]
        assert running.upstream.bodies[1] == BODY
        assert await errors(running) == {("m", kind): 1}
        assert await fallbacks(running) == {("m", "prefill_failed"): 1}
        attempts = await running.counted("aibrix_gateway_upstream_attempts_total", "model", "reason")
        assert attempts == {("m", f"prefill_{kind}"): 1, ("m", "ok"): 1}
        assert running.in_flight == [0, 0]
    lines = [line for line in log() if line.startswith("pd-prefill-request-error")]
    assert len(lines) == 1
    assert "model m" in lines[0]
    assert "ns/pod-1" in lines[0]
    assert lines[0].endswith(kind)
    assert "hello" not in lines[0]


@pytest.mark.parametrize("body", BAD_ANSWERS)
async def test_an_answer_that_cannot_be_handed_on(body):
    async with disaggregated(Engines(pod1=[answer(body)])) as running:
        assert (await running.ask()).header("x-aibrix-pd") == b"fallback"
        assert await errors(running) == {("m", "malformed"): 1}


async def test_another_prefill_pod_then_another_roleset_then_the_fallback():
    pods = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill"), leg(4, "prefill", "b"), leg(5, "decode", "b")]
    pods += [leg(6, "prefill", "b"), leg(7, "prefill", "c"), leg(8, "decode", "c")]
    prefills = (1, 3, 4, 6, 7)
    broken = {f"pod{number}": [reset()] for number in prefills}
    async with disaggregated(Engines(prefills, **broken), pods) as running:
        reply = await running.ask()
        assert reply.status == 200
        asked = hosts(running)
        rolesets = {1: "a", 2: "a", 3: "a", 4: "b", 5: "b", 6: "b", 7: "c", 8: "c"}
        tried = [rolesets[number] for number in asked]
        if tried[0] == "c":  # it has no other prefill pod
            assert len(asked) == 3
        else:
            assert tried[0] == tried[1] != tried[2]
            assert len(asked) == 4
        assert len(set(asked)) == len(asked)
        assert asked[-1] in {2, 5, 8}
        assert await fallbacks(running) == {("m", "prefill_failed"): 1}
        assert running.in_flight == [0] * 8


async def test_the_other_prefill_pod_of_the_roleset_is_enough():
    pods = [*PAIR, leg(3, "prefill"), leg(4, "prefill", "b"), leg(5, "decode", "b")]
    async with disaggregated(Engines((1, 3, 4), pod1=[reset()], pod3=[reset()], pod4=[reset()]), pods) as running:
        script = running.upstream.script
        script.steps = {1: [reset()]}
        for _ in range(20):
            await running.ask()
        failed_at = hosts(running).index(1)
        assert hosts(running)[failed_at + 1] == 3


async def test_refuse_and_the_hit_is_given_back():
    config = {"profiles": {"default": {"routingStrategy": "pd", "requestsPerSecond": 1}}}
    always = Engines(pod1=[cannot_connect() for _ in range(3)])
    async with disaggregated(always, config=config, routing={"pd_fallback": "refuse"}) as running:
        for _ in range(3):
            reply = await running.ask()
            assert reply.status == 503
            assert reply.header("x-error-routing") == b"true"
            assert reply.json()["error"] == {
                "message": "prefill failed: connect",
                "type": "overloaded_error",
                "code": "service_unavailable",
            }
        assert await running.outcomes() == {("m", "default", "503", "pd_error"): 3}
        assert hosts(running) == [1, 1, 1]


@pytest.mark.parametrize("prefill_answers", [True, False])
async def test_what_reached_an_engine_is_not_given_back(prefill_answers):
    config = {"profiles": {"default": {"routingStrategy": "pd", "requestsPerSecond": 1}}}
    steps = {"pod2": [cannot_connect() for _ in range(4)]} if prefill_answers else {"pod1": [reset()]}
    async with disaggregated(Engines(**steps), config=config, routing={"pd_fallback": "refuse"}) as running:
        assert (await running.ask()).status == (502 if prefill_answers else 503)
        assert (await running.ask()).status == 429


async def test_no_pair_costs_nothing_of_the_limit():
    config = {"profiles": {"default": {"routingStrategy": "pd", "requestsPerSecond": 1}}}
    async with disaggregated(pods=PAIR[:1], config=config) as running:
        for _ in range(3):
            reply = await running.ask()
            assert (reply.status, reply.header("x-error-routing")) == (503, b"true")
            assert "incomplete" in reply.json()["error"]["message"]
        assert running.upstream.requests == []


async def test_pods_of_different_versions_never_pair():
    pods = [leg(1, "prefill", labels=MIXED), leg(2, "decode", labels={"model.aibrix.ai/pd-compatibility": "v1"})]
    async with disaggregated(pods=pods) as running:
        for _ in range(5):
            assert (await running.ask()).header("x-aibrix-pd") == b"fallback"
        assert set(hosts(running)) == {2}
        assert await fallbacks(running) == {("m", "incompatible"): 5}


async def test_an_answer_that_ended_with_its_first_token_needs_no_other_prefill():
    done = {**WHOLE, "kv_transfer_params": None, "choices": [{"finish_reason": "stop"}]}
    pods = [*PAIR, leg(3, "prefill")]
    async with disaggregated(Engines((1, 3), pod1=[answer(done)], pod3=[answer(done)]), pods) as running:
        reply = await running.ask()
        assert (reply.status, reply.header("x-aibrix-pd")) == (200, b"fallback")
        assert len(hosts(running)) == 2
        assert await errors(running) == {}
        assert await fallbacks(running) == {("m", "nothing_to_transfer"): 1}


async def test_prefill_has_a_timer_of_its_own_within_that_of_the_whole():
    config = {"profiles": {"default": {"routingStrategy": "pd", "timeouts": {"prefill_timeout": 9}}}}
    async with disaggregated(config=config, upstream={"prefill_timeout": 30, "first_byte_timeout": 20}) as running:
        loop = asyncio.get_running_loop()
        await running.ask()
        prefill, decode = running.upstream.timers
        assert (prefill.timer, prefill.whole) == ("prefill_timeout", True)
        assert 8 < prefill.until - loop.time() <= 9
        assert decode.timer == "response_timeout"
    async with disaggregated(upstream={"prefill_timeout": 30, "first_byte_timeout": 20}) as running:
        await running.ask(b'{"model":"m","stream":true}')
        assert running.upstream.timers[0].timer == "first_byte_timeout"
        assert running.upstream.timers[0].whole is True


async def test_the_time_for_all_attempts_runs_out_in_prefill():
    async with disaggregated(Engines(pod1=[UpstreamTimeout("response_timeout")])) as running:
        reply = await running.ask()
        assert (reply.status, "response_timeout" in reply.json()["error"]["message"]) == (504, True)
        assert hosts(running) == [1]
        attempts = await running.counted("aibrix_gateway_upstream_attempts_total", "reason")
        assert attempts == {("prefill_timeout",): 1}


@pytest.mark.parametrize("extension", [True, False])
async def test_the_client_leaves_during_prefill(extension):
    async with disaggregated(lambda _: asyncio.Event()) as running:
        client = Client(running.gateway, extension=extension)
        task = client.start()
        await settle()
        client.leave()
        await settle()
        assert task.done()
        assert (await task).messages == []
        assert running.upstream.aborted == 1
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", "499", "client_cancelled"): 1}
        assert await errors(running) == {}


async def test_a_prefill_pod_that_fails_again_and_again_is_left_out():
    async with disaggregated(Engines(pod1=[reset() for _ in range(5)])) as running:
        for _ in range(5):
            await running.ask()
        assert hosts(running) == [1, 2] * 5
        await running.ask()
        assert hosts(running)[10:] == [2]  # ejected: nobody waits for it


async def test_slow_start_does_not_part_the_only_pair():
    async with disaggregated() as running:
        for number, role in ((1, "prefill"), (2, "decode")):
            running.registry.put("test", leg(number, role, excluded="not_ready"))
            running.registry.put("test", leg(number, role))
        running.registry.put("test", leg(3, "prefill", "b"))
        for _ in range(5):
            assert (await running.ask()).header("x-aibrix-pd") is None
        assert hosts(running) == [1, 2] * 5


async def test_a_large_prefill_answer_ends(monkeypatch):
    monkeypatch.setattr("aibrix_mw.prefill.LARGEST_ANSWER", 100)
    async with disaggregated(Engines(pod1=[FakeAnswer(b"x" * 99, b"y" * 99, b"")])) as running:
        assert (await running.ask()).header("x-aibrix-pd") == b"fallback"
        assert await errors(running) == {("m", "malformed"): 1}


async def test_params_as_they_were():
    odd = b'{"kv_transfer_params": {"remote_host" : "h",  "n": 1.50, "b": [ [1] ]} }'
    async with disaggregated(Engines(pod1=[answer(odd)])) as running:
        await running.ask(b'{"model":"m"}')
        assert running.upstream.bodies[1] == b'{"model":"m","kv_transfer_params":%b}' % odd[23:-2]
        assert json.dumps(PARAMS) not in running.upstream.bodies[1].decode()
