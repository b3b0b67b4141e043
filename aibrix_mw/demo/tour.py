"""The tour: every main feature once, over HTTP, against a running demo."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from aibrix_mw.demo.stage import MODEL, Stage

CHAT = "/v1/chat/completions"
_PATIENCE = 5.0  # seconds for one feature
_TICK = 0.02

Echo = Callable[[str], object]
Json = Any


class Visitor:
    """A client of the gateway who can also ask operators' questions, break engines and edit files."""

    def __init__(self, stage: Stage, gateway: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
        self.stage = stage
        self.gateway = gateway
        self.admin = admin

    async def ask(self, headers: dict[str, str] | None = None, **fields: Json) -> httpx.Response:
        """Ask for a chat completion; `fields` change its body."""
        return await self.gateway.post(CHAT, json=_chat(fields), headers=headers)

    @asynccontextmanager
    async def stream(self, headers: dict[str, str] | None = None, **fields: Json) -> AsyncIterator[httpx.Response]:
        """Ask for a streamed one; gives the answer once its head is there, and leaves at the end of the block."""
        body = _chat({**fields, "stream": True})
        async with self.gateway.stream("POST", CHAT, json=body, headers=headers) as answer:
            yield answer

    async def engine(self, pod: str) -> dict[str, Json]:
        """What the engine of a pod says of itself."""
        state: dict[str, Json] = (await self.gateway.get(f"{self.stage.engine_urls[pod]}/sim/state")).json()
        return state

    @asynccontextmanager
    async def broken(self, pod: str, mode: str, **fields: Json) -> AsyncIterator[None]:
        """Make the engine of a pod fail, as long as the block runs."""
        faults = f"{self.stage.engine_urls[pod]}/sim/faults"
        (await self.gateway.post(faults, json={"mode": mode, **fields})).raise_for_status()
        try:
            yield
        finally:
            await self.gateway.post(faults, json={"mode": "none"})

    async def status(self) -> dict[str, Json]:
        """What the gateway tells operators."""
        status: dict[str, Json] = (await self.admin.get("/status.json")).json()
        return status

    async def ready_pods(self) -> int:
        """How many pods of the model take requests."""
        ready: int = (await self.status())["models"][MODEL]["ready_pods"]
        return ready

    async def eventually(self, wanted: object, look: Callable[[], Awaitable[object]]) -> object:
        """Look until the wanted is seen, at most for half of a feature's time; gives what was seen last."""
        until = time.monotonic() + _PATIENCE / 2
        seen = await look()
        while seen != wanted and time.monotonic() < until:
            await asyncio.sleep(_TICK)
            seen = await look()
        return seen

    @contextmanager
    def edited(self, file: Path, text: str) -> Iterator[None]:
        """Replace a file in one step, and put the old one back at the end of the block."""
        before = file.read_text()
        _replace(file, text)
        try:
            yield
        finally:
            _replace(file, before)


class Feature(NamedTuple):
    """One row: what is shown, what a visitor should see, and how to look."""

    name: str
    expected: str
    look: Callable[[Visitor], Awaitable[str]]


async def take_tour(stage: Stage, features: Sequence[Feature], echo: Echo) -> bool:
    """Look at every feature and print a table; whether all is as expected."""
    echo(f"{len(features)} features, one look at each\n")
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=url, timeout=_PATIENCE) for url in (stage.url, stage.admin_url)]
        visitor = Visitor(stage, *[await stack.enter_async_context(client) for client in clients])
        rows = [(feature.name, feature.expected, await _seen(feature, visitor)) for feature in features]
    for line in table(rows):
        echo(line)
    good = sum(expected == seen for _, expected, seen in rows)
    echo(f"\n{good} of {len(rows)} as expected, in {time.monotonic() - begun:.1f} s. The engines are simulated.")
    return good == len(rows)


async def _seen(feature: Feature, visitor: Visitor) -> str:
    """What there is to see; an error is told in its place."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await feature.look(visitor)
    except Exception as error:  # noqa: BLE001 - whatever it is, the tour goes on
        return f"{type(error).__name__} {error}".strip()


def table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lines of a table: feature, expected, seen, ok."""
    cells = [("feature", "expected", "seen", "ok")]
    cells += [(name, expected, seen, "yes" if expected == seen else "NO") for name, expected, seen in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return lines


def _chat(fields: dict[str, Json]) -> dict[str, Json]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, **fields}


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)
