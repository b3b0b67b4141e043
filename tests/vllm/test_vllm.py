"""A real vLLM behind the gateway, as a process and with the client that people use: `make test-vllm`."""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from tests.vllm.comparison import OUR_HEADERS, kept_headers, lasting, outline
from tests.vllm.processes import ALIAS, MODEL, SHORT_SECONDS, UNSERVED, Engine, Gateway, eventually
from tests.vllm.readers import LibraryReader, RawReader, Reader, assert_broken

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("engines")]

LONGEST = 3900  # tokens that fit in beside the prompt
HELLO = [{"role": "user", "content": "hello"}]
CHAT = {"model": MODEL, "messages": HELLO, "max_tokens": 12, "temperature": 0.0}
ANSWERED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "completion": ("/v1/completions", {"model": MODEL, "prompt": "def f(", "max_tokens": 12, "temperature": 0.0}),
    "several": ("/v1/chat/completions", CHAT | {"n": 3, "seed": 1, "temperature": 1.0}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hello", "max_output_tokens": 12, "temperature": 0.0}),
    "messages": ("/v1/messages", CHAT),
    "tokenize": ("/tokenize", {"model": MODEL, "prompt": "hello"}),
    "detokenize": ("/detokenize", {"model": MODEL, "tokens": [65, 66, 67]}),
}
REFUSED = {
    "impossible value": ("/v1/chat/completions", CHAT | {"max_tokens": -1}, 400),
    "missing field": ("/v1/chat/completions", {"model": MODEL}, 400),
    "prompt too long": ("/v1/completions", {"model": MODEL, "prompt": [65] * 5000}, 400),
    "model that only the gateway knows": ("/v1/chat/completions", CHAT | {"model": UNSERVED}, 404),
}


async def ask_both(
    http: httpx.AsyncClient, direct: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> tuple[httpx.Response, httpx.Response]:
    """The same request, byte for byte, through the gateway and to the engine itself."""
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-request-id": "one-and-the-same"}
    return (
        await http.post(path, content=content, headers=headers),
        await direct.post(path, content=content, headers=headers),
    )


# --- the openai library


async def test_models_are_listed(client: openai.AsyncOpenAI):
    listed = await client.models.list()
    assert {model.id for model in listed.data} >= {MODEL, UNSERVED}
    assert (await client.models.retrieve(MODEL)).object == "model"


async def test_a_chat_completion(client: openai.AsyncOpenAI, engines: list[Engine]):
    raw = await client.chat.completions.with_raw_response.create(**CHAT)
    answer = raw.parse()
    assert answer.model == MODEL
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert raw.headers["target-pod-ip"] in {engine.address for engine in engines}
    assert raw.headers["routing-strategy"] == "least-request"


async def test_a_streamed_chat_completion_says_the_same_and_reports_usage(client: openai.AsyncOpenAI):
    whole = await client.chat.completions.create(**CHAT)
    stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    events = [event async for event in stream]
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert text == whole.choices[0].message.content
    assert events[-1].usage == whole.usage
    assert len({event.id for event in events}) == 1


async def test_completions_whole_and_streamed(client: openai.AsyncOpenAI):
    request = {"model": MODEL, "prompt": "import ", "max_tokens": 12, "temperature": 0.0}
    whole = await client.completions.create(**request)
    events = [event async for event in await client.completions.create(**request, stream=True)]
    assert "".join(event.choices[0].text for event in events) == whole.choices[0].text
    assert whole.usage.completion_tokens == 12


async def test_an_alias_reaches_the_engine_under_the_models_name(client: openai.AsyncOpenAI):
    answer = await client.chat.completions.create(**CHAT | {"model": ALIAS})
    assert answer.model == MODEL
    assert answer.choices[0].finish_reason


async def test_a_model_that_nobody_serves_is_not_found(client: openai.AsyncOpenAI):
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(**CHAT | {"model": "no-such-model"})
    assert refused.value.code == "model_not_found"


async def test_embeddings_of_an_engine_that_has_none_are_its_own_refusal(
    client: openai.AsyncOpenAI, direct: httpx.AsyncClient
):
    with pytest.raises(openai.APIStatusError) as refused:
        await client.embeddings.create(model=MODEL, input="hello", encoding_format="float")
    request = {"model": MODEL, "input": "hello", "encoding_format": "float"}
    asked = await direct.post("/v1/embeddings", json=request)
    assert (refused.value.response.status_code, refused.value.response.content) == (asked.status_code, asked.content)


# --- nothing is changed on the way


@pytest.mark.parametrize("case", ANSWERED)
async def test_an_answer_passes_through_unchanged(case: str, http: httpx.AsyncClient, direct: httpx.AsyncClient):
    through, asked = await ask_both(http, direct, *ANSWERED[case])
    assert (through.status_code, asked.status_code) == (200, 200), asked.text
    assert kept_headers(through) == kept_headers(asked)
    assert lasting(through.content) == lasting(asked.content)
    assert set(through.headers) - set(asked.headers) <= OUR_HEADERS
    assert through.headers["x-request-id"] == "one-and-the-same"


@pytest.mark.parametrize("case", ["chat", "completion", "responses", "messages"])
async def test_a_stream_passes_through_unchanged(case: str, http: httpx.AsyncClient, direct: httpx.AsyncClient):
    path, body = ANSWERED[case]
    through, asked = await ask_both(http, direct, path, body | {"stream": True})
    assert (through.status_code, asked.status_code) == (200, 200), asked.text
    assert kept_headers(through) == kept_headers(asked)
    assert through.text.count("[DONE]") == asked.text.count("[DONE]")
    assert outline(through.text) == outline(asked.text)


@pytest.mark.parametrize("case", REFUSED)
async def test_an_error_of_the_engine_passes_through_unchanged(
    case: str, http: httpx.AsyncClient, direct: httpx.AsyncClient
):
    path, body, status = REFUSED[case]
    through, asked = await ask_both(http, direct, path, body)
    assert (through.status_code, asked.status_code) == (status, status), asked.text
    assert through.content == asked.content
    assert kept_headers(through) == kept_headers(asked)


# --- many at once


async def test_streams_at_once_are_spread_over_both_engines(
    client: openai.AsyncOpenAI, engines: list[Engine], report: dict[str, str]
):
    before = [await engine.metric("vllm:request_success_total") for engine in engines]
    readers = [LibraryReader(client, MODEL, 64) for _ in range(16)]
    started = time.monotonic()
    await read_all(readers)
    seconds = time.monotonic() - started
    assert [(reader.error, reader.done, reader.generated) for reader in readers] == [(None, True, 64)] * 16
    shares = Counter(reader.address for reader in readers)
    assert sorted(shares.values()) == [8, 8]
    after = [await engine.metric("vllm:request_success_total") for engine in engines]
    assert [now - then for then, now in zip(before, after, strict=True)] == [8, 8]
    report["16 streams of 64 tokens at once"] = f"8 on each engine, {seconds:.2f} s, {16 * 64 / seconds:.0f} tokens/s"


async def read_all(readers: list[Reader]) -> None:
    async with asyncio.timeout(2 * SHORT_SECONDS):
        await asyncio.gather(*(reader.read() for reader in readers))


# --- clients that leave, engines that die


async def test_an_engine_stops_generating_for_a_client_that_has_left(
    client: openai.AsyncOpenAI, engines: list[Engine], gateway: Gateway, report: dict[str, str]
):
    generated = sum([await engine.metric("vllm:generation_tokens_total") for engine in engines])
    left = await gateway.metric("aibrix_gateway_client_cancelled_total")
    async with LibraryReader(client, MODEL, LONGEST).stream() as events:
        for _ in range(5):
            await anext(events)
        engine = await the_busy_one(engines)
    seconds = await eventually(lambda: is_at(engine, 0), "nothing runs on the engine any more", seconds=5)
    generated = sum([await engine.metric("vllm:generation_tokens_total") for engine in engines]) - generated
    assert generated < LONGEST / 2
    assert await gateway.metric("aibrix_gateway_client_cancelled_total") == left + 1
    report["a client that leaves"] = (
        f"engine idle after {seconds * 1000:.0f} ms, {generated:.0f} of {LONGEST} tokens generated"
    )


async def the_busy_one(engines: list[Engine]) -> Engine:
    busy = [engine for engine in engines if await is_at(engine, 1)]
    assert len(busy) == 1, "the answer was over before its client could leave"
    return busy[0]


async def is_at(engine: Engine, running: int) -> bool:
    return await engine.metric("vllm:num_requests_running") == running


async def test_killing_one_engine_breaks_its_own_streams_and_no_other(
    client: openai.AsyncOpenAI,
    http: httpx.AsyncClient,
    engines: list[Engine],
    gateway: Gateway,
    report: dict[str, str],
):
    readers = [RawReader(http, MODEL, 800) if n % 4 < 2 else LibraryReader(client, MODEL, 800) for n in range(8)]
    reading = [asyncio.create_task(reader.read()) for reader in readers]
    async with asyncio.timeout(SHORT_SECONDS):
        await asyncio.gather(*(reader.begun.wait() for reader in readers))
    killed, survivor = engines
    broken = [reader for reader in readers if reader.address == killed.address]
    others = [reader for reader in readers if reader.address == survivor.address]
    assert (len(broken), len(others)) == (4, 4)
    assert all(reader.running for reader in readers), "an answer was over before its engine was killed"
    killed.kill()
    moment = time.monotonic()
    async with asyncio.timeout(2 * SHORT_SECONDS):
        await asyncio.gather(*reading)

    for reader in broken:
        assert_broken(reader)
    assert [(reader.error, reader.done, reader.generated) for reader in others] == [(None, True, 800)] * 4
    told = max(reader.ended for reader in broken) - moment
    report["kill -9 of one engine, 4 streams on each"] = (
        f"{len(broken)} of its own streams broke, known to the clients after {told * 1000:.0f} ms; "
        f"{len(others)} of 4 others complete"
    )
    report["requests after that, the pod still listed"] = await ask_survivor(client, survivor, gateway)


async def ask_survivor(client: openai.AsyncOpenAI, survivor: Engine, gateway: Gateway) -> str:
    """Ask one by one and at once; every answer is the survivor's."""

    async def ask() -> str:
        raw = await client.chat.completions.with_raw_response.create(**CHAT)
        assert raw.parse().choices[0].finish_reason
        return str(raw.headers["target-pod-ip"])

    async with asyncio.timeout(SHORT_SECONDS):
        addresses = [await ask() for _ in range(12)]
        addresses += await asyncio.gather(*(ask() for _ in range(12)))
    assert Counter(addresses) == {survivor.address: 24}
    attempts = await gateway.metric("aibrix_gateway_upstream_attempts_total", model=MODEL)
    succeeded = await gateway.metric("aibrix_gateway_upstream_attempts_total", model=MODEL, reason="ok")
    return f"24 of 24 answered by the survivor; {attempts - succeeded:.0f} attempts on the dead pod, each tried again"
