"""The two legs on the wire, and what the client sees of them."""

import asyncio
import json

import msgspec
import pytest

from aibrix_mw.connectors.base import connector
from aibrix_mw.errors import InvalidRequest
from aibrix_mw.middleware.disaggregation import _members
from tests.legs import PAIR, PARAMS, WHOLE, Engines, answer, disaggregated, leg
from tests.support import BODY, SSE_HEADERS, FakeAnswer, ask, ask_for, in_turn, settle

ANNOUNCED = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}
STREAMING = (
    b'{"model":"m", "messages":[{"role":"user","content":"a \\"max_tokens\\": 9"}],\n "stream" : true,'
    b'"stream_options":{"include_usage":true}, "max_tokens":7,"min_tokens": 3, "temperature":0.10}'
)
EVENTS = FakeAnswer(b"data: 1\n\n", b"data: [DONE]\n\n", headers=SSE_HEADERS)


async def test_exactly_this_goes_to_both_legs_of_a_stream():
    async with disaggregated(in_turn(answer(), EVENTS)) as running:
        reply = await running.ask(STREAMING)
        prefill, decode = running.upstream.bodies
    assert prefill == (
        b'{"model":"m", "messages":[{"role":"user","content":"a \\"max_tokens\\": 9"}],\n "stream" : false,'
        b' "max_tokens":1, "temperature":0.10,"max_completion_tokens":1,"kv_transfer_params":'
        b'{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,'
        b'"remote_host":null,"remote_port":null}}'
    )
    assert json.loads(prefill)["kv_transfer_params"] == ANNOUNCED
    assert decode == STREAMING[:-1] + b',"kv_transfer_params":' + json.dumps(PARAMS).encode() + b"}"
    assert reply.body == b"data: 1\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_whole_answers_of_both_paths(path):
    body = b'{"model":"m","prompt":"hello","max_completion_tokens":5}'
    async with disaggregated() as running:
        reply = await running.ask(body, path)
        prefill, decode = running.upstream.requests
        assert [request.target for request in running.upstream.requests] == [path.encode()] * 2
        assert json.loads(prefill.body) == {
            "model": "m",
            "prompt": "hello",
            "max_completion_tokens": 1,
            "max_tokens": 1,
            "stream": False,
            "kv_transfer_params": ANNOUNCED,
        }
        assert json.loads(decode.body) == {**json.loads(body), "kv_transfer_params": PARAMS}
        assert running.upstream.hosts == ["10.0.0.1", "10.0.0.2"]
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", "200", "ok"): 1}
        duration = await running.counted("aibrix_gateway_pd_prefill_duration_seconds_count", "model")
        assert duration == {("m",): 1}
    assert reply.body == b'{"ok": true}'


async def test_headers_of_the_prefill_leg_and_of_the_answer():
    sent = [
        (b"authorization", b"Bearer k"),
        (b"content-type", b"application/json"),
        (b"traceparent", b"00-1-2-01"),
        (b"x-request-id", b"mine"),
        (b"cookie", b"c"),
        (b"prefill-target-pod", b"forged"),
    ]
    async with disaggregated() as running:
        reply = await running.ask(BODY, headers=sent, query_string=b"v=1")
        prefill, decode = running.upstream.requests
    assert sorted(prefill.headers) == sorted(sent[:4])
    assert dict(decode.headers)[b"cookie"] == b"c"
    assert b"prefill-target-pod" not in dict(decode.headers)
    assert prefill.target == decode.target == b"/v1/chat/completions?v=1"
    assert reply.header("target-pod") == b"pod-2"
    assert reply.header("target-pod-ip") == b"10.0.0.2:8000"
    assert reply.header("prefill-target-pod") == b"pod-1"
    assert reply.header("prefill-target-pod-ip") == b"10.0.0.1:8000"
    assert reply.header("routing-strategy") == b"pd"
    assert reply.header("x-aibrix-pd") is None


async def test_hidden_targets():
    async with disaggregated(routing={"expose_target": False}) as running:
        reply = await running.ask()
    assert reply.status == 200
    assert not [name for name, _ in reply.headers if b"target" in name]


async def test_an_alias_and_a_disaggregated_body_together():
    async with disaggregated(models={"m": {"aliases": ["gpt"]}}, routing={"default_strategy": "pd"}) as running:
        await running.ask(b'{"model":"gpt","prompt":"x"}', "/v1/completions")
        assert [json.loads(body)["model"] for body in running.upstream.bodies] == ["m", "m"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","max_tokens":1,"max_tokens":1}',
        b'{"model":"m","max_tokens":1,"max\\u005ftokens":22}',
        b'{"model":"m","stream":false,"prompt":"x","stream":true}',
        b'{"model":"m","stream_options":null,"stream_options":{}}',
        b'{"model":"m","min_tokens":[1,{"a":"]"}],"min_tokens":2}',
        b'{"model":"m","max_completion_tokens":1,"max_completion_tokens":2}',
    ],
)
async def test_a_controlled_key_that_is_there_twice(body):
    config = {"profiles": {"default": {"routingStrategy": "pd", "requestsPerSecond": 1}}}
    async with disaggregated(config=config) as running:
        for _ in range(2):
            reply = await running.ask(body)
            assert reply.status == 400
            assert reply.json()["error"]["code"] == "invalid_request"
            assert "twice" in reply.json()["error"]["message"]
        assert running.upstream.requests == []
        assert running.in_flight == [0, 0]
        assert (await running.ask()).status == 200  # it has cost nothing


async def test_any_other_key_may_be_there_twice():
    async with disaggregated() as running:
        assert (await running.ask(b'{"model":"m","top_p":1,"prompt":"x","top_p":0.5 }')).status == 200
        assert running.upstream.bodies[1].startswith(b'{"model":"m","top_p":1,"prompt":"x","top_p":0.5 ,"kv_')


@pytest.mark.parametrize("name", ["kv_transfer_params", "disaggregated_params", "bootstrap_host"])
async def test_transfer_fields_of_a_client_are_refused(name):
    async with disaggregated() as running:
        reply = await running.ask(b'{"model":"m","%b":{}}' % name.encode())
        assert (reply.status, reply.json()["error"]["param"]) == (400, name)
        assert running.upstream.requests == []


async def test_allowed_transfer_fields_are_replaced():
    async with disaggregated(routing={"allow_transfer_params": True}) as running:
        await running.ask(b'{"kv_transfer_params":{"remote_host":"evil"},"model":"m"}')
        assert all(b"evil" not in body for body in running.upstream.bodies)


async def test_both_legs_are_leased():
    prefilling, decoding = asyncio.Event(), asyncio.Event()
    async with disaggregated(
        in_turn(FakeAnswer(prefilling, json.dumps(WHOLE).encode()), FakeAnswer(decoding, b"{}"))
    ) as running:
        prefill, decode = running.registry.serving("m")
        task = asyncio.ensure_future(running.ask())
        await settle()
        assert (prefill.in_flight, decode.in_flight) == (1, 1)
        assert (prefill.outstanding_tokens > 0, decode.outstanding_tokens) == (True, 0)
        prefilling.set()
        await settle()
        assert (prefill.in_flight, decode.in_flight) == (0, 1)
        assert prefill.outstanding_tokens == 0
        assert prefill.latency.first_token.read(running.gateway.registry.clock()) is not None
        decoding.set()
        assert (await task).status == 200
        assert running.in_flight == [0, 0]
        assert decode.latency.first_token.read(0.0) is None


@pytest.mark.parametrize("status", [400, 404, 422, 429])
async def test_what_the_prefill_pod_finds_wrong_is_the_clients_answer(status):
    refusal = answer(b'{"error": "too long"}', status)
    async with disaggregated(Engines(pod1=[refusal])) as running:
        reply = await running.ask()
        assert (reply.status, reply.body, reply.complete) == (status, b'{"error": "too long"}', True)
        assert running.upstream.hosts == ["10.0.0.1"]
        assert running.in_flight == [0, 0]
        assert await running.outcomes() == {("m", "default", str(status), "ok"): 1}
        assert await running.counted("aibrix_gateway_pd_prefill_errors_total", "reason") == {}


async def test_other_paths_go_to_the_decode_pod_alone():
    async with disaggregated() as running:
        reply = await running.ask(b'{"model":"m","input":"x"}', "/v1/embeddings")
        assert running.upstream.hosts == ["10.0.0.2"]
        assert reply.header("x-aibrix-pd") is None
        assert running.upstream.bodies == [b'{"model":"m","input":"x"}']


async def test_the_client_may_ask_for_it():
    async with disaggregated(config=None) as running:
        reply = await running.ask(headers=[(b"routing-strategy", b"least-request:3,pd")])
        assert reply.header("prefill-target-pod") == b"pod-1"


async def test_without_a_route_the_layer_is_not_there():
    async with disaggregated() as running:
        assert (await ask(running.gateway, b"", "/v1/models", method="GET")).status == 200
        assert (await ask(running.gateway, b"", "/nothing")).status == 404


async def test_many_prefill_chunks():
    text = json.dumps(WHOLE).encode()
    async with disaggregated(Engines(pod1=[FakeAnswer(text[:10], text[10:], b"")])) as running:
        assert (await running.ask()).status == 200
        assert json.loads(running.upstream.bodies[1])["kv_transfer_params"] == PARAMS


async def test_an_unknown_label_speaks_as_vllm_does():
    pods = [leg(1, "prefill", labels={"model.aibrix.ai/kv-connector-type": "x"}), *PAIR[1:]]
    async with disaggregated(pods=pods) as running:
        assert (await running.ask()).header("x-aibrix-pd") == b"fallback"  # not the same kind


def test_a_body_too_deep_to_be_cut_is_refused():
    request = msgspec.structs.replace(ask_for(), body=b'{"a": ' + b"[" * 100_000)
    with pytest.raises(InvalidRequest, match="not valid JSON: maximum recursion depth exceeded"):
        _members(request, connector("nixl"))
