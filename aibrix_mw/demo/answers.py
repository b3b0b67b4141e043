"""Features of one request: answers, names, refusals and headers."""

import json
from collections.abc import Awaitable, Callable

from aibrix_mw.demo.stage import MODEL
from aibrix_mw.demo.tour import CHAT, Visitor


async def chat_answer(visitor: Visitor) -> str:
    """An answer in one piece."""
    answer = await visitor.ask(max_tokens=8)
    return f"{answer.status_code}, {answer.json()['usage']['completion_tokens']} tokens"


async def streamed_answer(visitor: Visitor) -> str:
    """An answer as events, usage and end included."""
    async with visitor.stream(max_tokens=8, stream_options={"include_usage": True}) as answer:
        events = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    words = sum(bool(choice["delta"].get("content")) for chunk in chunks for choice in chunk["choices"])
    return f"{words} tokens, usage {chunks[-1]['usage']['completion_tokens']}, {events[-1]}"


async def embedding(visitor: Visitor) -> str:
    """Another endpoint of the same API."""
    answer = await visitor.gateway.post("/v1/embeddings", json={"model": MODEL, "input": ["a", "b"]})
    return f"{answer.status_code}, {len(answer.json()['data'])} vectors"


async def model_list(visitor: Visitor) -> str:
    """Models, adapters and aliases that have ready pods."""
    listed = (await visitor.gateway.get("/v1/models")).json()
    return " ".join(model["id"] for model in listed["data"])


def engine_sees(name: str) -> Callable[[Visitor], Awaitable[str]]:
    """What the engine reads as the model, when the client writes `name`."""

    async def look(visitor: Visitor) -> str:
        answer = await visitor.ask(model=name)
        state = await visitor.engine(answer.headers["target-pod"])
        return str(json.loads(state["last_requests"][-1]["body"])["model"])

    return look


def refused(
    body: bytes = b'{"model": "my-model"}', path: str = CHAT, **headers: str
) -> Callable[[Visitor], Awaitable[str]]:
    """Status and code of the refusal of such a request; headers are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def look(visitor: Visitor) -> str:
        answer = await visitor.gateway.post(path, content=body, headers=named)
        return f"{answer.status_code} {answer.json()['error']['code']}"

    return look


async def target_headers(visitor: Visitor) -> str:
    """Whether the answer names the engine that gave it."""
    headers = (await visitor.ask()).headers
    pod, address = headers["target-pod"], f"http://{headers['target-pod-ip']}"
    same = pod == headers["x-sim-engine"] and address == visitor.stage.engine_urls[pod]
    return "the engine that answered" if same else f"{pod} at {address}, answered by {headers['x-sim-engine']}"


async def request_id(visitor: Visitor) -> str:
    """The id that the client chose, as the answer has it and as the engine got it."""
    answer = await visitor.ask({"x-request-id": "tour-1"})
    seen = dict((await visitor.engine(answer.headers["target-pod"]))["last_requests"][-1]["headers"])
    return f"{answer.headers['x-request-id']}, engine {seen['x-request-id']}"
