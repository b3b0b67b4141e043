"""Features that engines cause by failing, and clients by leaving."""

import json
from collections.abc import Awaitable, Callable

import httpx

from aibrix_mw.demo.choices import FIRST, session_of
from aibrix_mw.demo.stage import ZONES
from aibrix_mw.demo.tour import Visitor

FAILURES = 5
"""In a row, after which a pod is left out for a while: the default of `ejection.consecutive_failures`."""


async def cancelled(visitor: Visitor) -> str:
    """Requests that are still running on the engine after the client has left in the middle of its stream."""
    async with visitor.stream({"external-filter": f"zone={ZONES[FIRST]}"}, max_tokens=5000) as answer:
        await anext(answer.aiter_lines())

    async def running() -> object:
        return (await visitor.engine(FIRST))["running"]

    return f"{await visitor.eventually(0, running)} running"


def failover(mode: str) -> Callable[[Visitor], Awaitable[str]]:
    """Who answers when the pod of the session fails before its first byte."""

    async def look(visitor: Visitor) -> str:
        headers = {"x-session-id": await session_of(FIRST, visitor), "routing-strategy": "session-affinity"}
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


async def ejected(visitor: Visitor) -> str:
    """Who answers a session when its pod has failed again and again, and is well; and who a while later."""
    headers = {"x-session-id": await session_of(FIRST, visitor), "routing-strategy": "session-affinity"}
    async with visitor.broken(FIRST, "error"):
        for _ in range(FAILURES):
            await visitor.ask(headers)

    async def answering() -> object:
        return (await visitor.ask(headers)).headers["target-pod"]

    return f"{await answering()}, later {await visitor.eventually(FIRST, answering)}"
