"""Streams at a steady rate while something restarts, and what became of each."""

import asyncio
from collections import Counter

import httpx

from tests.e2e.support import CHAT, chat

RATE, REQUESTS = 50, 1000


class Steady:
    """Ends by what they were ("ok" alone is right), and the pods that have answered.

    `idle` seconds without a request end a connection: a server that is about to stop closes those that nobody uses, and
    a request that is on its way then is lost, whoever the server is.
    """

    def __init__(self, url: str, tokens=lambda _: 10, idle: float = 5.0) -> None:
        self.url = url
        self.idle = idle
        self.tokens = tokens
        self.ends = Counter()
        self.pods = Counter()

    async def run(self, done: asyncio.Event) -> None:
        """Ask RATE times a second until at least REQUESTS are made and `done` is set, then wait for the last end."""
        loop, tasks = asyncio.get_running_loop(), []
        limits = httpx.Limits(max_keepalive_connections=20, max_connections=None, keepalive_expiry=self.idle)
        async with httpx.AsyncClient(base_url=self.url, timeout=30, limits=limits) as http:
            began = loop.time()
            while len(tasks) < REQUESTS or not done.is_set():
                tasks.append(asyncio.ensure_future(self._one(http, self.tokens(len(tasks)))))
                await asyncio.sleep(max(0.0, began + len(tasks) / RATE - loop.time()))
            self.ends.update(await asyncio.gather(*tasks))

    async def _one(self, http: httpx.AsyncClient, tokens: int) -> str:
        """One stream; what became of it."""
        try:
            async with http.stream("POST", CHAT, json=chat(stream=True, max_tokens=tokens)) as answer:
                self.pods[answer.headers.get("target-pod", "")] += 1
                lines = [line async for line in answer.aiter_lines()]
        except httpx.HTTPError as error:
            return repr(error)
        if answer.status_code != 200:
            return f"{answer.status_code} {lines}"
        return "ok" if "data: [DONE]" in lines else "truncated"
