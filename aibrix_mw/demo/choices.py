"""Features of the choice of a pod: profiles, strategies, filters."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aibrix_mw.demo.stage import ZONES
from aibrix_mw.demo.tour import Visitor

FIRST, SECOND = ZONES
AT_ONCE = 16


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
    headers = {"x-session-id": await session_of(SECOND, visitor), "routing-strategy": "session-affinity"}
    answers = [await visitor.ask(headers) for _ in range(6)]
    return " ".join(sorted({answer.headers["target-pod"] for answer in answers}))


async def session_of(pod: str, visitor: Visitor) -> str:
    """The id of a session that stays on a pod."""
    headers = {"routing-strategy": "session-affinity", "external-filter": f"zone={ZONES[pod]}"}
    return str((await visitor.ask(headers)).headers["x-session-id"])


async def spread(visitor: Visitor) -> str:
    """Requests a pod, when they come all at once; then the client leaves them all."""
    async with AsyncExitStack() as stack:
        streams = [visitor.stream({"routing-strategy": "least-request"}, max_tokens=5000) for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*(stack.enter_async_context(stream) for stream in streams))
        counts = Counter(answer.headers["target-pod"] for answer in answers)
    return " + ".join(str(counts[pod]) for pod in ZONES)


async def prefix_stays(visitor: Visitor) -> str:
    """Pods that answer one long prompt again and again, and whether its KV cache was there the last time."""
    messages = [{"role": "system", "content": "You know all about this tour. " * 40}, {"role": "user", "content": "hi"}]
    answers = [await visitor.ask({"routing-strategy": "prefix-cache"}, messages=messages) for _ in range(6)]
    usage = answers[-1].json()["usage"]
    is_cached = usage["prompt_tokens_details"]["cached_tokens"] > 0.9 * usage["prompt_tokens"]
    return f"{len({answer.headers['target-pod'] for answer in answers})} pod, {'cached' if is_cached else 'computed'}"


async def users_apart(visitor: Visitor) -> str:
    """Pods of a user who has had many tokens, and of one who has had few."""

    async def pods_of(user: str, words: int) -> str:
        headers = {"routing-strategy": "vtc-basic", "user": user}
        messages = [{"role": "user", "content": "word " * words}]
        answers = [await visitor.ask(headers, messages=messages) for _ in range(4)]
        return " ".join(sorted({answer.headers["target-pod"] for answer in answers[1:]}))

    light, heavy = await pods_of("light", 1), await pods_of("heavy", 4000)
    return f"light {light}, heavy {heavy}"
