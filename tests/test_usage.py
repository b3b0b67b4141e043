"""Usage: read of every shape, however it is cut, and of nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.tokens import Usage
from aibrix_mw.usage import UsageReader

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream; charset=utf-8")]
TEXT = 'she said "usage": {"prompt_tokens": 9} \\"usage\\"'


def event(data, name=None):
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def compact(data):
    return json.dumps(data, separators=(",", ":")).encode()


CHAT_USAGE = {"prompt_tokens": 21, "total_tokens": 33, "completion_tokens": 12, "prompt_tokens_details": None}
CACHED = CHAT_USAGE | {"prompt_tokens_details": {"cached_tokens": 16}}
RESPONSES_USAGE = {
    "input_tokens": 21,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 33,
}
DELTA = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": TEXT}}]}
ANSWERS = {
    "chat": (compact({"choices": [{"message": {"content": TEXT}}], "usage": CHAT_USAGE}), Usage(21, 12)),
    "chat, cached, with what follows": (
        compact({"usage": CACHED, "prompt_logprobs": [{"1": {"decoded_token": "usage"}}] * 9}),
        Usage(21, 12, 16),
    ),
    "pretty": (json.dumps({"choices": [], "usage": CACHED}, indent=2).encode(), Usage(21, 12, 16)),
    "embeddings": (
        compact({"data": [{"embedding": [0.5] * 99}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
        Usage(8),
    ),
    "rank": (compact({"id": "r", "usage": {"total_tokens": 56}, "results": []}), Usage(56)),
    "messages": (
        compact({"usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 16}}),
        Usage(21, 7, 16),
    ),
    "messages, written to the cache": (
        compact({"usage": {"input_tokens": 5, "output_tokens": 7, "cache_creation_input_tokens": 4}}),
        Usage(9, 7),
    ),
    "responses": (compact({"object": "response", "output": [], "usage": RESPONSES_USAGE}), Usage(21, 12, 16)),
    "an echo before, and one after": (
        compact({"tools": [{"usage": {"input_tokens": 1}}], "usage": RESPONSES_USAGE, "m": {"usage": {"type": "x"}}}),
        Usage(21, 12, 16),
    ),
    "none": (compact({"choices": [{"message": {"content": TEXT}}]}), None),
    "null": (compact({"choices": [], "usage": None, "x": "usage"}), None),
    "seconds": (compact({"text": "hm", "usage": {"type": "duration", "seconds": 3}}), None),
    "wrong type": (compact({"usage": {"prompt_tokens": "many"}}), None),
    "negative": (compact({"usage": {"prompt_tokens": -4, "completion_tokens": 3}}), Usage(0, 3)),
    "cut off": (b'{"usage":{"prompt_tokens":21', None),
    "cut off before": (b'{"usage"', None),
    "not UTF-8": (b'{"usage":{"prompt_tokens":21,"a":"\xff"}}', Usage(21)),
}
STREAMS = {
    "chat": (
        event(DELTA) * 3 + event(DELTA | {"choices": [], "usage": CHAT_USAGE}) + b"data: [DONE]\n\n",
        Usage(21, 12),
    ),
    "chat, null before": (
        event(DELTA | {"usage": None}) * 3 + event({"choices": [], "usage": CACHED}) + b"data: [DONE]\n\n",
        Usage(21, 12, 16),
    ),
    "chat, continuous": (
        b"".join(event(DELTA | {"usage": {"prompt_tokens": 21, "completion_tokens": n}}) for n in range(13)),
        Usage(21, 12),
    ),
    "chat without": (event(DELTA) * 3 + b"data: [DONE]\n\n", None),
    "messages": (
        event(
            {"type": "message_start", "message": {"usage": {"input_tokens": 21, "output_tokens": 1}}}, "message_start"
        )
        + event({"type": "content_block_delta", "delta": {"text": TEXT}}, "content_block_delta")
        + event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 12}}, "message_delta")
        + event({"type": "message_stop"}, "message_stop"),
        Usage(21, 12),
    ),
    "responses": (
        event({"type": "response.created", "response": {"usage": None}}, "response.created")
        + event({"type": "response.output_text.delta", "delta": TEXT}, "response.output_text.delta")
        + event({"type": "response.completed", "response": {"usage": RESPONSES_USAGE}}, "response.completed"),
        Usage(21, 12, 16),
    ),
}
EVERY = {f"json {name}": (JSON, *row) for name, row in ANSWERS.items()} | {
    f"events {name}": (SSE, *row) for name, row in STREAMS.items()
}


def read(headers, chunks):
    reader = UsageReader()
    reader.start(headers)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.usage


@pytest.mark.parametrize(("headers", "body", "usage"), EVERY.values(), ids=EVERY)
def test_every_shape_whole_and_cut_in_two_anywhere(headers, body, usage):
    assert read(headers, [body]) == usage
    assert [at for at in range(len(body)) if read(headers, [body[:at], body[at:]]) != usage] == []


@pytest.mark.parametrize(("headers", "body", "usage"), EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_every_shape_in_small_pieces(headers, body, usage, size):
    assert read(headers, [body[at : at + size] for at in range(0, len(body), size)]) == usage


@given(st.sampled_from(sorted(EVERY)), st.data())
def test_every_shape_cut_anyhow(name, data):
    headers, body, usage = EVERY[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=9)))
    assert read(headers, [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]) == usage


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"audio/mpeg")],
        [(b"content-type", b"text/plain")],
        [*JSON, (b"content-encoding", b"gzip")],
    ],
)
def test_what_cannot_hold_usage_is_not_searched(headers):
    assert read(headers, [ANSWERS["chat"][0]]) is None


@pytest.mark.parametrize("content_type", [b"application/json; charset=utf-8", b"Application/JSON"])
def test_content_types(content_type):
    assert read([(b"content-type", content_type), (b"content-encoding", b"identity")], [ANSWERS["chat"][0]])


def test_what_never_ends_is_not_held_for_ever():
    reader = UsageReader()
    reader.feed(b'{"usage": {')
    for _ in range(100):
        reader.feed(b" " * 1000)
    assert len(reader._held) < 10
    reader.feed(b'"usage": {"prompt_tokens": 3}')
    assert reader.usage == Usage(3)


def test_totals():
    assert Usage(21, 12, 16).total == 33
