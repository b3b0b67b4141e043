"""What the tour shows: one small function a feature, and the table of them.

A function returns in a few words what it has seen. To show a new feature takes a function and a row. The file is long
because there are that many features, and they are told nowhere else as briefly.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx

from aibrix_mw.demo.limits import AT_ONCE, counted_in, full_pods, limited, user_limited, what_is_left
from aibrix_mw.demo.stage import (
    ADAPTER,
    ALIAS,
    LIMIT,
    LONG_PROMPT_TOKENS,
    MODEL,
    USER_LIMIT,
    ZONES,
    has_store,
    pods_text,
    settings_text,
)
from aibrix_mw.demo.tour import CHAT, Feature, Visitor

FIRST, SECOND = ZONES
_AT_ONCE = 16
_LIST = "least-request:3,session-affinity:1"
_EXCLUDED_PATH = "/v1/load_lora_adapter"
_LATER = "my-later-alias"

# --- answers


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


# --- names


def engine_sees(name: str) -> Callable[[Visitor], Awaitable[str]]:
    """What the engine reads as the model, when the client writes `name`."""

    async def look(visitor: Visitor) -> str:
        answer = await visitor.ask(model=name)
        state = await visitor.engine(answer.headers["target-pod"])
        return str(json.loads(state["last_requests"][-1]["body"])["model"])

    return look


# --- refusals


def refused(
    body: bytes = b'{"model": "my-model"}', path: str = CHAT, **headers: str
) -> Callable[[Visitor], Awaitable[str]]:
    """Status and code of the refusal of such a request; headers are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def look(visitor: Visitor) -> str:
        answer = await visitor.gateway.post(path, content=body, headers=named)
        return f"{answer.status_code} {answer.json()['error']['code']}"

    return look


# --- profiles, strategies, filters


def routed(words: int = 1, **headers: str) -> Callable[[Visitor], Awaitable[str]]:
    """Profile and strategy that apply to a prompt of so many words with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def look(visitor: Visitor) -> str:
        answer = await visitor.ask(named, messages=[{"role": "user", "content": "word " * words}])
        return f"{answer.headers['x-aibrix-config-profile']}, {answer.headers['routing-strategy']}"

    return look


async def filtered(visitor: Visitor) -> str:
    """Pods that answer while a filter on labels leaves one."""
    answers = [await visitor.ask({"external-filter": "zone in (b)"}) for _ in range(4)]
    return " ".join(sorted({answer.headers["target-pod"] for answer in answers}))


async def session_stays(visitor: Visitor) -> str:
    """Pods that answer requests of one session."""
    headers = {"x-session-id": await _session_of(SECOND, visitor), "routing-strategy": "session-affinity"}
    answers = [await visitor.ask(headers) for _ in range(6)]
    return " ".join(sorted({answer.headers["target-pod"] for answer in answers}))


async def _session_of(pod: str, visitor: Visitor) -> str:
    headers = {"routing-strategy": "session-affinity", "external-filter": f"zone={ZONES[pod]}"}
    return str((await visitor.ask(headers)).headers["x-session-id"])


async def spread(visitor: Visitor) -> str:
    """Requests a pod, when they come all at once; then the client leaves them all."""
    async with AsyncExitStack() as stack:
        streams = [visitor.stream({"routing-strategy": "least-request"}, max_tokens=5000) for _ in range(_AT_ONCE)]
        answers = await asyncio.gather(*(stack.enter_async_context(stream) for stream in streams))
        counts = Counter(answer.headers["target-pod"] for answer in answers)
    return " + ".join(str(counts[pod]) for pod in ZONES)


async def cancelled(visitor: Visitor) -> str:
    """Requests that are still running on the engine after the client has left in the middle of its stream."""
    async with visitor.stream({"external-filter": f"zone={ZONES[FIRST]}"}, max_tokens=5000) as answer:
        await anext(answer.aiter_lines())

    async def running() -> object:
        return (await visitor.engine(FIRST))["running"]

    return f"{await visitor.eventually(0, running)} running"


# --- failures


def failover(mode: str) -> Callable[[Visitor], Awaitable[str]]:
    """Who answers when the pod of the session fails before its first byte."""

    async def look(visitor: Visitor) -> str:
        headers = {"x-session-id": await _session_of(FIRST, visitor), "routing-strategy": "session-affinity"}
        async with visitor.broken(FIRST, mode):
            answer = await visitor.ask(headers)
        return f"{answer.status_code} from {answer.headers['target-pod']}"

    return look


async def cut_stream(visitor: Visitor) -> str:
    """How a stream ends whose engine dies after the first byte."""
    lines, ended = [], "complete"
    headers = {"external-filter": f"zone={ZONES[FIRST]}"}
    async with visitor.broken(FIRST, "die", after_chunks=3), visitor.stream(headers) as answer:
        try:
            async for line in answer.aiter_lines():
                lines += [line.removeprefix("data: ")] if line else []
        except httpx.RemoteProtocolError:
            ended = "truncated"
    code = json.loads(lines[-1]).get("error", {}).get("code")
    return f"{code}, {'[DONE]' if '[DONE]' in lines else 'no [DONE]'}, {ended}"


# --- headers


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


# --- files


async def pod_leaves(visitor: Visitor) -> str:
    """Ready pods while the file says that one is not, who answers then, and ready pods after it."""
    text = pods_text(visitor.stage.engines, not_ready=[FIRST])
    with visitor.edited(visitor.stage.pods_file, text):
        during = await visitor.eventually(1, visitor.ready_pods)
        answer = await visitor.ask()
    return f"{during} ready, {answer.headers['target-pod']}; {await visitor.eventually(2, visitor.ready_pods)} ready"


async def broken_file(visitor: Visitor) -> str:
    """Faults and ready pods while the pod file is broken."""

    async def faults() -> object:
        return len((await visitor.status())["faults"])

    with visitor.edited(visitor.stage.pods_file, "items: ["):
        during = f"{await visitor.eventually(1, faults)} fault, {await visitor.ready_pods()} ready"
    return f"{during}; {await visitor.eventually(0, faults)} faults"


async def settings_change(visitor: Visitor) -> str:
    """Whether an alias is known before and after it is written into the settings file."""

    async def known() -> object:
        return (await visitor.gateway.get(f"/v1/models/{_LATER}")).status_code

    before, stage = await known(), visitor.stage
    text = settings_text((stage.port, stage.admin_port), stage.pods_file, [ALIAS, _LATER], stage.store)
    with visitor.edited(stage.settings_file, text):
        during = await visitor.eventually(200, known)
    return f"{before}, {during}, {await visitor.eventually(404, known)}"


# --- operators


async def metrics(visitor: Visitor) -> str:
    """By how much four requests raise the count of requests."""

    async def counted() -> float:
        lines = (await visitor.admin.get("/metrics")).text.splitlines()
        ours = [line for line in lines if line.startswith("aibrix_gateway_requests_total{") and 'outcome="ok"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in ours)

    before = await counted()
    for _ in range(4):
        await visitor.ask()
    return f"+{await counted() - before:g}"


async def status(visitor: Visitor) -> str:
    """The state of gateway and pods, as operators see it."""
    seen = await visitor.status()
    pods = seen["models"][MODEL]["pods"]
    return (
        f"{seen['status']}, {sum(pod['ready'] for pod in pods)} pods, {sum(pod['in_flight'] for pod in pods)} in flight"
    )


async def probes(visitor: Visitor) -> str:
    """Liveness and readiness on both ports."""
    clients = (visitor.gateway, visitor.admin)
    codes = [(await client.get(path)).status_code for client in clients for path in ("/healthz", "/readyz")]
    return " ".join(map(str, codes))


FEATURES = (
    Feature("chat answer", "200, 8 tokens", chat_answer),
    Feature("streamed answer", "8 tokens, usage 8, [DONE]", streamed_answer),
    Feature("embeddings", "200, 2 vectors", embedding),
    Feature("model list", f"{ALIAS} {ADAPTER} {MODEL}", model_list),
    Feature("alias is rewritten", MODEL, engine_sees(ALIAS)),
    Feature("adapter is not", ADAPTER, engine_sees(ADAPTER)),
    Feature("unknown model", "404 model_not_found", refused(b'{"model": "nobody"}')),
    Feature("body is not JSON", "400 invalid_request", refused(b"{model}")),
    Feature("path of engines' operators", "404 not_found", refused(path=_EXCLUDED_PATH)),
    Feature("default profile", "default, least-request", routed()),
    Feature("config-profile: batch", "batch, random", routed(config_profile="batch")),
    Feature("config-profile: unknown", "default, least-request", routed(config_profile="unknown")),
    Feature("config-profile: auto", "batch, random", routed(LONG_PROMPT_TOKENS, config_profile="auto")),
    Feature("routing-strategy header", "default, power-of-two", routed(routing_strategy="power-of-two")),
    Feature("weighted list", f"default, {_LIST}", routed(routing_strategy=_LIST)),
    Feature("unknown strategy", "400 invalid_routing_strategy", refused(routing_strategy="best")),
    Feature("external-filter", SECOND, filtered),
    Feature("external-filter, no pod", "503 service_unavailable", refused(external_filter="zone=c")),
    Feature("session stays on its pod", SECOND, session_stays),
    Feature(f"least-request, {_AT_ONCE} at once", f"{_AT_ONCE // 2} + {_AT_ONCE // 2}", spread),
    Feature(f"limit of a second, {AT_ONCE} at once", f"{LIMIT} pass, {AT_ONCE - LIMIT} are refused", limited),
    Feature("answer says what is left", f"{LIMIT - 1} of {LIMIT}", what_is_left),
    Feature("limits are counted in", "the store" if has_store() else "the gateway", counted_in),
    Feature("limit of a user", f"{USER_LIMIT} pass, then 429; 200", user_limited),
    Feature("every pod has all it may have", "429 replica_inflight_exceeded", full_pods),
    Feature("client leaves a stream", "0 running", cancelled),
    Feature("engine hangs up", f"200 from {SECOND}", failover("refuse")),
    Feature("engine answers 503", f"200 from {SECOND}", failover("error")),
    Feature("engine dies while it streams", "upstream_error, no [DONE], truncated", cut_stream),
    Feature("answer names its pod", "the engine that answered", target_headers),
    Feature("x-request-id", "tour-1, engine tour-1", request_id),
    Feature("pod is no longer ready", f"1 ready, {SECOND}; 2 ready", pod_leaves),
    Feature("pod file is broken", "1 fault, 2 ready; 0 faults", broken_file),
    Feature("alias added to settings", "404, 200, 404", settings_change),
    Feature("metrics count requests", "+4", metrics),
    Feature("status", "ready, 2 pods, 0 in flight", status),
    Feature("probes", "200 200 200 200", probes),
)
