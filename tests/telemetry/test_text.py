"""Text in spans, for those who ask for it."""

import json

import pytest

from aibrix_mw.telemetry.answer import AnswerReader
from aibrix_mw.telemetry.text import AnswerText, input_messages
from tests.middleware.tracing_support import tracing
from tests.support import SSE_HEADERS, STREAM_BODY, FakeAnswer, Running, ask_for, in_turn
from tests.telemetry.test_answer import EVENTS, JSON


def said(*texts, role="user"):
    return {"role": role, "parts": [{"type": "text", "content": text} for text in texts]}


PROMPTS = {
    '{"model":"m","messages":[{"role":"system","content":"be"},{"role":"user","content":"hi"}]}': [
        said("be", role="system"),
        said("hi"),
    ],
    '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url"}]}]}': [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}, {"type": "image_url"}]}
    ],
    '{"model":"m","messages":[{"role":"assistant","content":null},3]}': [{"role": "assistant", "parts": []}],
    '{"model":"m","prompt":"hi"}': [said("hi")],
    '{"model":"m","prompt":[1,2]}': [said("[1,2]")],
    '{"model":"m","input":[{"role":"user","content":"hi"}]}': [said("hi")],
    '{"model":"m"}': [],
}


@pytest.mark.parametrize("body", PROMPTS)
def test_prompts(body):
    assert json.loads(input_messages(ask_for(body.encode()))) == PROMPTS[body]


ANSWERS = [
    (JSON, b'{"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":"a"}}]}', ["a", "b"]),
    (JSON, b'{"choices":[{"text":"a"}]}', ["a"]),
    (JSON, b'{"content":[{"type":"text","text":"a"},{"type":"tool_use"}]}', ["a"]),
    (JSON, b'{"output":[{"content":[{"type":"output_text","text":"a"}]}]}', ["a"]),
    (JSON, b"[1]", []),
    (JSON, b"no", []),
    (
        EVENTS,
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\n',
        ["ab"],
    ),
    (EVENTS, b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n', ["a"]),
    (EVENTS, b'data: {"type":"response.output_text.delta","delta":"a"}\n\n', ["a"]),
]


@pytest.mark.parametrize(("headers", "body", "texts"), ANSWERS)
def test_answers(headers, body, texts):
    text = AnswerText()
    reader = AnswerReader(headers, text)
    for at in range(0, len(body), 5):
        reader.feed(body[at : at + 5])
    reader.end()
    assert json.loads(text.messages([])) == [said(one, role="assistant") for one in texts]


@pytest.mark.parametrize("capture", [True, False])
async def test_only_where_it_is_asked_for(capture):
    event = b'data: {"model":"m","choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}\n\n'
    body = STREAM_BODY.replace(b"[]", b'[{"role":"user","content":"hi"}]')
    with tracing() as traced:
        answer = FakeAnswer(event, headers=SSE_HEADERS)
        async with Running(in_turn(answer), outer=[traced.layer(capture_text=capture)]) as running:
            assert (await running.ask(body)).status == 200
        (call,) = traced.calls
    captured = {key: json.loads(value) for key, value in call.attributes.items() if key.endswith("messages")}
    expected = {
        "gen_ai.input.messages": [said("hi")],
        "gen_ai.output.messages": [said("hello", role="assistant") | {"finish_reason": "stop"}],
    }
    assert captured == (expected if capture else {})
