"""What is read of answers in passing, however they are split."""

import pytest

from aibrix_mw.telemetry.answer import AnswerReader
from aibrix_mw.tokens import Usage

JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
SHAPES = {
    "chat": (
        JSON,
        (
            b'{"id":"1","model":"m","choices":[{"message":{"content":"\\"model\\":"},"finish_reason":"stop"},'
            b'{"finish_reason":"length","stop_reason":5}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
        ),
        ("m", ["stop", "length"], Usage(3, 4)),
    ),
    "chat stream": (
        EVENTS,
        (
            b'data: {"model":"m","choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
            b'data: {"model":"m","choices":[{"delta":{"content":"_reason\\":"},"finish_reason":"tool_calls"}]}\r\n\r\n'
            b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n'
        ),
        ("m", ["tool_calls"], Usage(3, 4)),
    ),
    "messages": (
        JSON,
        (
            b'{"type":"message","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,'
            b'"output_tokens":4,"cache_read_input_tokens":2}}'
        ),
        ("m", ["end_turn"], Usage(5, 4, 2)),
    ),
    "messages stream": (
        EVENTS,
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","stop_reason":null,"usage":'
            b'{"input_tokens":3,"output_tokens":0}}}\n\nevent: message_delta\n'
            b'data: {"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":4}}\n\n'
        ),
        ("m", ["max_tokens"], Usage(3, 4)),
    ),
    "responses": (
        JSON,
        (
            b'{"metadata":{"model":"not this"},"model":"m","output":[],"usage":{"input_tokens":3,"output_tokens":4,'
            b'"input_tokens_details":{"cached_tokens":1}}}'
        ),
        ("m", [], Usage(3, 4, 1)),
    ),
    "responses stream": (
        EVENTS,
        (
            b'event: response.created\ndata: {"type":"response.created","response":{"model":"m","usage":null}}\n\n'
            b'data: {"type":"response.output_text.delta","delta":"\\"finish_reason\\":\\"x"}\n\n'
            b'data: {"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}\n\n'
        ),
        ("m", [], Usage(3, 4)),
    ),
    "no JSON": (JSON, b'"model": "m"', (None, [], None)),
    "event that is no JSON": (EVENTS, b'data: "model":\n\ndata: {"model":"m"}\n\n', ("m", [], None)),
    "audio": ([(b"content-type", b"audio/wav")], b'{"model":"m"}', (None, [], None)),
    "compressed": ([*JSON, (b"content-encoding", b"gzip")], b'{"model":"m"}', (None, [], None)),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, size):
    headers, body, expected = SHAPES[shape]
    reader = AnswerReader(headers)
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    reader.end()
    assert (reader.model, reader.finish_reasons, reader.usage) == expected


def test_of_a_giant_nothing_is_held():
    reader = AnswerReader(JSON)
    reader.feed(b'{"model":"m","x":"' + b"x" * (1 << 20))
    reader.feed(b'"}')
    reader.end()
    assert reader.model is None
