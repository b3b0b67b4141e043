import asyncio
import base64
import itertools
import json
import struct

import pytest

from aibrix_mw.engine.inference import unless_client_leaves

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]


async def test_a_chat_answer(quick, http):
    answer = await http(quick(name="pod-1")).post(CHAT, json={"model": "m", "messages": MESSAGES, "max_tokens": 3})
    body = answer.json()
    assert answer.status_code == 200
    assert body["id"] == f"chatcmpl-{answer.headers['x-request-id']}"
    assert (body["object"], body["model"], body["system_fingerprint"]) == (
        "chat.completion",
        "m",
        "aibrix-mw-sim:pod-1",
    )
    choice = body["choices"][0]
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "length", "assistant")
    assert len(choice["message"]["content"].split(" ")) == 3
    usage = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
    assert body["usage"] == {**usage, "prompt_tokens_details": {"cached_tokens": 0}}


async def test_a_completion(quick, http):
    body = (await http(quick()).post("/v1/completions", json={"prompt": "hello"})).json()
    assert (body["object"], body["choices"][0]["finish_reason"]) == ("text_completion", "stop")
    assert body["id"].startswith("cmpl-")
    assert len(body["choices"][0]["text"].split(" ")) == 16


async def test_equal_seeds_answer_alike(quick, http):
    async def answer(seed):
        body = (await http(quick(seed=seed)).post(CHAT, json={"messages": MESSAGES})).json()
        return body["choices"][0]["message"]["content"]

    assert await answer(1) == await answer(1) != await answer(2)


async def test_a_chat_stream(quick, call):
    engine = quick()
    body = {"messages": MESSAGES, "stream": True, "max_tokens": 3, "stream_options": {"include_usage": True}}
    stream = call(engine, CHAT, body)
    await stream.task
    role, *pieces, end, usage = stream.events
    assert stream.chunks[-1] == b"data: [DONE]\n\n"
    assert stream.complete
    assert dict(stream.messages[0]["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [p["choices"][0]["finish_reason"] for p in (role, *pieces, end)] == [None] * 4 + ["length"]
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 3)
    assert {e["id"] for e in stream.events} == {role["id"]}
    assert {e["object"] for e in stream.events} == {"chat.completion.chunk"}
    whole = call(engine, CHAT, {**body, "stream": False})
    await whole.task
    streamed = "".join(p["choices"][0]["delta"]["content"] for p in pieces)
    assert streamed.encode() in whole.chunks[0]


async def test_a_completion_stream_without_usage(quick, call):
    stream = call(quick(), body={"prompt": "x", "stream": True})
    await stream.task
    assert len(stream.events) == 17
    assert [e["choices"][0]["finish_reason"] for e in stream.events[-2:]] == [None, "stop"]
    assert not any("usage" in e for e in stream.events)


async def test_a_stream_in_time(make, call, time):
    """The head at once, the role with the first token, then token by token."""
    stream = call(make(), CHAT, {"messages": MESSAGES, "stream": True, "max_tokens": 3})
    seen = []
    for _ in range(6):
        await time.advance(0.4)
        seen.append((round(time.now, 1), stream.status, len(stream.chunks)))
    assert seen == [(0.4, 200, 0), (0.8, 200, 2), (1.2, 200, 2), (1.6, 200, 3), (2.0, 200, 6), (2.4, 200, 6)]


async def test_the_second_turn_reads_the_cache(quick, http):
    client = http(quick(block_tokens=4))
    first = {"role": "user", "content": "x" * 100}
    second = [first, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    await client.post(CHAT, json={"messages": [first]})
    usage = (await client.post(CHAT, json={"messages": second})).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 28


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_while_running(make, call, time, stream):
    engine = make()
    leaving = call(engine, body={"prompt": "x", "stream": stream, "max_tokens": 100})
    await time.advance(5)
    assert engine.gauges() == {
        "vllm:num_requests_running": 1,
        "vllm:num_requests_waiting": 0,
        "vllm:kv_cache_usage_perc": 7 / 8192,
    }
    leaving.leave()
    await time.advance(0)
    assert leaving.task.done()
    assert not leaving.complete
    assert set(engine.gauges().values()) == {0}
    assert engine.finished() == {"stop": 0, "length": 0, "abort": 1}


async def test_a_client_that_leaves_the_queue(make, call, time):
    engine = make(max_running=1)
    first, second = call(engine), call(engine)
    await time.advance(1)
    assert engine.scheduler.waiting == 1
    second.leave()
    await time.advance(0)
    assert (second.task.done(), engine.scheduler.waiting) == (True, 0)
    await time.advance(100)
    assert first.complete


async def test_a_client_that_leaves_before_its_body_is_there(quick, call):
    engine = quick()
    leaving = call(engine, body=b"")
    leaving.leave()
    await leaving.task
    assert (leaving.messages, len(engine.journal.last)) == ([], 0)


async def test_a_server_that_stops_cancels(make, call, time):
    engine = make()
    running = call(engine)
    await time.advance(1)
    running.task.cancel()
    await time.advance(0)
    assert running.task.cancelled()
    assert set(engine.gauges().values()) == {0}


async def test_what_the_work_raises_is_raised():
    async def work():
        raise LookupError("broken")

    async def receive():
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(LookupError):
        await unless_client_leaves(receive, work())


async def test_what_arrives_before_the_disconnect_is_ignored():
    messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    await unless_client_leaves(receive, asyncio.sleep(3600))
    assert next(messages, None) is None


async def test_embeddings(make, call, http, time):
    engine = make(clock=time)
    made = call(engine, "/v1/embeddings", {"input": ["x" * 40, "y" * 40]})
    await time.advance(1.9)
    assert made.messages == []
    await time.advance(0.2)
    body = json_of(made)
    assert [entry["index"] for entry in body["data"]] == [0, 1]
    assert [len(entry["embedding"]) for entry in body["data"]] == [16, 16]
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] == 20
    assert engine.finished()["stop"] == 1


def json_of(made):
    return json.loads(b"".join(made.chunks))


async def test_embeddings_in_base64(quick, http):
    client = http(quick())

    async def ask(**more):
        answer = await client.post("/v1/embeddings", json={"input": "hello", "dimensions": 3, **more})
        return answer.json()["data"][0]["embedding"]

    packed = base64.b64decode(await ask(encoding_format="base64"))
    assert struct.unpack("<3f", packed) == pytest.approx(await ask())


async def test_tokenising_and_back(quick, http):
    client = http(quick())
    made = (await client.post("/tokenize", json={"prompt": "hello", "model": "m"})).json()
    assert (await client.post("/detokenize", json={"tokens": made["tokens"]})).json() == {"prompt": "hello"}


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings", "/tokenize", "/detokenize"])
async def test_an_unknown_model_everywhere(quick, http, path):
    body = {"model": "nope", "messages": MESSAGES, "prompt": "x", "input": "x", "tokens": [1]}
    answer = await http(quick()).post(path, json=body)
    error = {"message": "The model `nope` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
    assert (answer.status_code, answer.json()) == (404, {"error": error})


async def test_invalid_json(quick, http):
    answer = await http(quick()).post(CHAT, content=b"{")
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestError")


async def test_a_refusal_takes_no_slot(quick, http):
    engine = quick()
    await http(engine).post("/v1/completions", json={"prompt": ""})
    assert set(engine.finished().values()) == {0}


async def test_many_at_once_do_not_mix(quick, call):
    engine = quick(max_running=3)
    prompts = ["".join(p) for p in itertools.product("ab", repeat=4)]
    calls = [call(engine, body={"prompt": p}, **{"x-request-id": p}) for p in prompts]
    alone = [call(quick(), body={"prompt": p}) for p in prompts]
    await asyncio.gather(*(c.task for c in calls + alone))
    assert [json_of(c)["choices"] for c in calls] == [json_of(c)["choices"] for c in alone]
    assert [json_of(c)["id"] for c in calls] == [f"cmpl-{p}" for p in prompts]
    assert set(engine.gauges().values()) == {0}
