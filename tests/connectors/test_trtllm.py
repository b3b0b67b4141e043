"""TensorRT-LLM's disaggregated_params: exact bodies of both legs."""

import json

import pytest

from aibrix_mw.connectors.base import BadTransfer
from aibrix_mw.connectors.trtllm import Trtllm
from tests.legs import Engines, answer, disaggregated, leg
from tests.support import SSE_HEADERS, FakeAnswer, info

PODS = [leg(1, "prefill", engine="trtllm"), leg(2, "decode", engine="trtllm")]
PARAMS = {"request_type": "context_only", "first_gen_tokens": [7], "ctx_request_id": 3, "encoded_opaque_state": "x"}
ANSWERS = {
    "top level": {"disaggregated_params": PARAMS},
    "first choice": {"choices": [{"disaggregated_params": PARAMS}, {"disaggregated_params": {"a": 1}}]},
}


@pytest.mark.parametrize("where", ANSWERS)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_both_legs(path, where):
    body = b'{"model":"m","prompt":"x","stream":true,"max_completion_tokens":9,"min_tokens":2}'
    events = FakeAnswer(b"data: [DONE]\n\n", headers=SSE_HEADERS)
    async with disaggregated(Engines(pod1=[answer(ANSWERS[where])], pod2=[events]), PODS) as running:
        reply = await running.ask(body, path)
        assert reply.body == b"data: [DONE]\n\n"
        prefill, decode = map(json.loads, running.upstream.bodies)
    assert prefill == {
        "model": "m",
        "prompt": "x",
        "stream": False,
        "max_tokens": 1,
        "disaggregated_params": {"request_type": "context_only"},
    }
    assert decode == {**json.loads(body), "disaggregated_params": {**PARAMS, "request_type": "generation_only"}}


DEEP = b'{"disaggregated_params":' + 100_000 * b"[" + 100_000 * b"]" + b"}"


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"disaggregated_params": {}}', b'{"disaggregated_params": 1}', b'{"choices": 1}', DEEP]
)
def test_no_params(text):
    with pytest.raises(BadTransfer):
        Trtllm().to_decode(info(), {}, text)
