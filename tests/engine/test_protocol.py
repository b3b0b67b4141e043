import json

import pytest

from aibrix_mw.engine import protocol
from aibrix_mw.engine.options import EngineOptions
from aibrix_mw.engine.refusals import ApiError

OPTIONS = EngineOptions(models=("m", "alias"), adapters=("lora",), kv_blocks=10, block_tokens=4, default_max_tokens=5)


def read(kind=protocol.CompletionRequest, **body):
    return protocol.read_generation(json.dumps(body).encode(), kind, OPTIONS)


def refusal(function, *args, **kwargs):
    with pytest.raises(ApiError) as caught:
        function(*args, **kwargs)
    return caught.value.status, caught.value.body["error"]


def test_a_completion():
    ask = read(prompt="x" * 18, model="m")
    assert (ask.model, ask.reason, ask.stream, ask.include_usage) == ("m", "stop", False, False)
    assert (ask.job.prompt_tokens, ask.job.max_tokens, len(ask.job.hashes)) == (5, 5, 1)


def test_the_limit_is_the_exact_length():
    assert (read(prompt="x", max_tokens=3).job.max_tokens, read(prompt="x", max_tokens=3).reason) == (3, "length")
    assert read(prompt="x", max_tokens=3, max_completion_tokens=4).job.max_tokens == 4


def test_the_default_shrinks_to_the_room():
    assert read(prompt="x" * 4 * 38).job.max_tokens == 2


def test_no_model_means_the_engines_own():
    assert read(prompt="x").model == "m"
    assert read(prompt="x", model="lora").model == "lora"


def test_streaming_with_usage():
    ask = read(prompt="x", stream=True, stream_options={"include_usage": True})
    assert (ask.stream, ask.include_usage) == (True, True)
    assert not read(prompt="x", stream=True, stream_options={}).include_usage
    assert not read(prompt="x", stream=None, stream_options=None).stream


def test_what_must_not_share_a_cache():
    hashes = {read(prompt="x" * 16, **more).job.hashes for more in ({}, {"model": "lora"}, {"cache_salt": "s"})}
    assert len(hashes) == 3
    assert read(prompt="x" * 16, model="m").job.hashes in hashes


@pytest.mark.parametrize("prompt", ["abcd", ["abcd"], [0x64636261], [[0x64636261]]])
def test_four_ways_to_write_a_prompt(prompt):
    assert read(prompt=prompt).digest == read(prompt="abcd").digest


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"prompt": ""}, "not an empty one"),
        ({"prompt": []}, "one prompt a request"),
        ({"prompt": ["a", "b"]}, "one prompt a request"),
        ({"prompt": ["a", 1]}, "do not mix"),
        ({"prompt": [-1]}, "token ids"),
        ({"prompt": "x", "n": 2}, "one choice"),
        ({"prompt": "x", "max_tokens": 0}, "at least 1, got 0"),
        ({"prompt": "x", "max_tokens": 40}, "maximum context length is 40 tokens. However, you requested 41 tokens"),
        ({"prompt": "x" * 160}, "you requested 41 tokens (40 in the prompt, 1 for the answer)"),
        ({"prompt": "x", "stream": "yes"}, "$.stream"),
        ({}, "prompt"),
    ],
)
def test_a_completion_that_cannot_be(body, part):
    status, error = refusal(read, **body)
    assert (status, error["type"], error["code"]) == (400, "BadRequestError", 400)
    assert part in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"prompt": "\xff"}', b"\xff"])
def test_a_body_that_is_none(body):
    status, error = refusal(protocol.read_generation, body, protocol.CompletionRequest, OPTIONS)
    assert (status, error["type"]) == (400, "BadRequestError")


def test_an_unknown_model_is_answered_as_vllm_does():
    assert refusal(read, prompt="x", model="nope") == (
        404,
        {"message": "The model `nope` does not exist.", "type": "NotFoundError", "param": "model", "code": 404},
    )


def chat(*messages, **more):
    return read(protocol.ChatRequest, messages=list(messages), **more)


def test_a_conversation_extends_its_beginning():
    first = {"role": "user", "content": "x" * 20}
    turns = [first, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    shorter, longer = chat(first).job, chat(*turns).job
    assert longer.hashes[:2] == shorter.hashes[:2]
    assert longer.prompt_tokens > shorter.prompt_tokens


def test_contents_in_parts():
    parts = [{"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}]
    assert chat({"role": "user", "content": parts}).digest == chat({"role": "user", "content": "abcd"}).digest
    image = [{"type": "image_url", "image_url": {"url": "data:x"}}]
    assert chat({"role": "user", "content": image}).job.prompt_tokens > chat({"role": "user"}).job.prompt_tokens


def test_tools_are_part_of_the_prompt():
    message = {"role": "user", "content": "x"}
    assert chat(message, tools=[{"type": "function"}]).job.prompt_tokens > chat(message).job.prompt_tokens


def test_a_chat_needs_messages():
    status, error = refusal(read, protocol.ChatRequest, prompt="x")
    assert status == 400
    assert "messages" in error["message"]


def embed(**body):
    return protocol.read_embedding(json.dumps(body).encode(), OPTIONS)


@pytest.mark.parametrize(
    ("given", "texts"),
    [("ab", [b"ab"]), (["a", "b"], [b"a", b"b"]), ([97], [b"a\0\0\0"]), ([[97], [98]], [b"a\0\0\0", b"b\0\0\0"])],
)
def test_inputs_of_embeddings(given, texts):
    assert embed(input=given)[1:] == ("m", texts)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"input": []}, "must not be empty"),
        ({"input": "x", "dimensions": 0}, "1 to 4096"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x" * 161}, "maximum context length"),
    ],
)
def test_embeddings_that_cannot_be(body, part):
    status, error = refusal(embed, **body)
    assert status == 400
    assert part in error["message"]


def test_tokenising_and_back():
    made = protocol.tokenize(b'{"prompt": "hello"}', OPTIONS)
    assert made == {"count": 2, "max_model_len": 40, "tokens": made["tokens"], "token_strs": None}
    assert protocol.detokenize(json.dumps({"tokens": made["tokens"]}).encode(), OPTIONS) == {"prompt": "hello"}


def test_tokenising_a_conversation():
    message = {"role": "user", "content": "x"}
    made = protocol.tokenize(json.dumps({"messages": [message]}).encode(), OPTIONS)
    assert made["count"] == chat(message).job.prompt_tokens


@pytest.mark.parametrize("body", [b"{}", b'{"prompt": 1}'])
def test_tokenising_nothing(body):
    assert refusal(protocol.tokenize, body, OPTIONS)[0] == 400
