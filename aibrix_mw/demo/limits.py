"""Features that refuse for a while: limits per second, and requests in flight per pod."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx

from aibrix_mw.demo.stage import LIMIT, USER, USER_LIMIT, ZONES
from aibrix_mw.demo.tour import Visitor

AT_ONCE = 3 * LIMIT
_LIMITED = {"config-profile": "limited"}
_NARROW = {"config-profile": "narrow"}


async def limited(visitor: Visitor) -> str:
    """How many of the requests that come at once pass, in a second that has just begun."""
    await _next_second(visitor)
    answers = await asyncio.gather(*(visitor.ask(_LIMITED) for _ in range(AT_ONCE)))
    counts = Counter(answer.status_code for answer in answers)
    return f"{counts[200]} pass, {counts[429]} are refused"


async def what_is_left(visitor: Visitor) -> str:
    """What the first answer in a second says of it."""
    await _next_second(visitor)
    headers = (await visitor.ask(_LIMITED)).headers
    return f"{headers['x-ratelimit-remaining-requests']} of {headers['x-ratelimit-limit-requests']}"


async def _next_second(visitor: Visitor) -> None:
    """Wait for as long as the gateway says that the window still lasts."""
    reset = (await visitor.ask(_LIMITED)).headers["x-ratelimit-reset-requests"]
    await asyncio.sleep((int(reset.removesuffix("ms")) + 20) / 1000)


async def user_limited(visitor: Visitor) -> str:
    """How many of a user's requests pass, and what somebody else gets then."""
    answers = await asyncio.gather(*(visitor.ask({"user": USER}) for _ in range(USER_LIMIT + 1)))
    statuses = sorted(answer.status_code for answer in answers)
    return f"{statuses.count(200)} pass, then {statuses[-1]}; {(await visitor.ask({'user': 'host'})).status_code}"


async def full_pods(visitor: Visitor) -> str:
    """Who answers a request while every pod streams to somebody else, and may have one request only."""
    async with AsyncExitStack() as stack:
        for _ in ZONES:
            await stack.enter_async_context(visitor.stream(_NARROW, max_tokens=5000))
        answer = await visitor.ask(_NARROW)
    return _said(answer)


def _said(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['error']['code']}"


async def counted_in(visitor: Visitor) -> str:
    """Where limits are counted."""
    lines = (await visitor.admin.get("/metrics")).text.splitlines()
    return "the store" if "aibrix_gateway_store_shared 1.0" in lines else "the gateway"
