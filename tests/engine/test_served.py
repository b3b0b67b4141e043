"""Over a real socket: the openai client, and faults as a client's HTTP library meets them."""

import asyncio
import math

import httpx
import openai
import pytest

from aibrix_mw.engine.sim import EngineOptions, Fault, create_engine

MESSAGES = [{"role": "user", "content": "hello"}]
STREAM = {"messages": MESSAGES, "stream": True}


@pytest.fixture
def engine():
    fast = math.inf
    return create_engine(
        EngineOptions(
            models=("m",),
            adapters=("lora",),
            name="pod-1",
            prefill_tokens_per_second=fast,
            decode_tokens_per_second=fast,
        )
    )


@pytest.fixture
async def url(engine, listen):
    async with listen(engine) as url:
        yield url


@pytest.fixture
async def client(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_openai_chat(client):
    made = await client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=5)
    assert len(made.choices[0].message.content.split(" ")) == 5
    assert made.choices[0].finish_reason == "length"
    assert made.usage.completion_tokens == 5
    assert made.usage.prompt_tokens_details.cached_tokens == 0
    assert made.system_fingerprint == "aibrix-mw-sim:pod-1"


async def test_openai_stream(client):
    stream = await client.chat.completions.create(
        model="lora", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len("".join(c.choices[0].delta.content or "" for c in chunks[:-1]).split(" ")) == 16
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 16
    assert {c.model for c in chunks} == {"lora"}


async def test_openai_completion_embeddings_and_models(client):
    completion = await client.completions.create(model="m", prompt="hello", max_tokens=2)
    assert len(completion.choices[0].text.split(" ")) == 2
    made = await client.embeddings.create(model="m", input=["a", "b"])
    numbers = await client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert made.data[1].embedding == pytest.approx(numbers.data[1].embedding, rel=1e-6)
    assert [model.id for model in (await client.models.list()).data] == ["m", "lora"]


async def test_openai_errors(client):
    with pytest.raises(openai.NotFoundError, match="The model `nope` does not exist"):
        await client.chat.completions.create(model="nope", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=0)


async def test_one_server_header(url):
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/health")
    assert answer.headers.get_list("server") == ["aibrix-mw simulated engine"]


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
async def test_refused_connections_answer_nothing(engine, listen, protocol):
    engine.faults.set(Fault("refuse", count=1))
    async with listen(engine, http=protocol) as url, httpx.AsyncClient(base_url=url) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await http.post("/v1/chat/completions", json=STREAM)
        assert (await http.post("/v1/chat/completions", json=STREAM)).status_code == 200


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
@pytest.mark.parametrize(("chunks", "stream"), [(0, True), (3, True), (0, False), (1, False)])
async def test_death_breaks_the_framing(engine, listen, protocol, chunks, stream):
    engine.faults.set(Fault("die", after_chunks=chunks, count=1))
    async with listen(engine, http=protocol) as url, httpx.AsyncClient(base_url=url) as http:
        asked = http.stream("POST", "/v1/chat/completions", json={**STREAM, "stream": stream})
        async with asked as answer:
            assert answer.status_code == 200
            got, error = await read_to_the_end(answer)
    assert "peer closed" in str(error)
    assert got.count(b"\n\n") == (chunks if stream else 0)
    assert bool(got) == bool(chunks)


async def read_to_the_end(answer):
    got = b""
    try:
        async for part in answer.aiter_bytes():
            got += part
    except httpx.RemoteProtocolError as error:
        return got, error
    return got, None


async def test_a_closed_connection_ends_the_work(listen):
    """With real time, since the socket's is real: an answer of an hour is cancelled at once."""
    engine = create_engine(EngineOptions(models=("m",), prefill_tokens_per_second=0.001))
    async with listen(engine) as url, httpx.AsyncClient(base_url=url) as http:
        async with http.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            assert answer.status_code == 200
            assert engine.scheduler.running == 1
        async with asyncio.timeout(5):
            while engine.scheduler.running:
                await http.get("/health")
    assert engine.finished()["abort"] == 1
