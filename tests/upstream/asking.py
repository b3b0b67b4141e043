"""What the tests of the upstreams say all the time."""

import asyncio
from collections.abc import Callable
from typing import Any

from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream
from tests.upstream.raw_engine import RawEngine

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def ask(address: Address, body: bytes | bytearray = b"{}", **options: Any) -> EngineRequest:
    """A request with nothing special."""
    values: dict[str, Any] = {"host": b"engine", "target": b"/v1/chat/completions", "headers": (), "body": body}
    return EngineRequest(address=address, **(values | options))


def within(seconds: float = 5.0, timer: str = "first_byte_timeout", **options: Any) -> Timers:
    """Timers that run from now."""
    until = asyncio.get_running_loop().time() + seconds
    return Timers(until=until, timer=timer, **({"whole": False, "connect": 5.0, "idle": 5.0} | options))


async def read_all(answer: Answer, into: bytearray | None = None) -> bytes:
    """The whole body; in `into` also what came before an error."""
    body = bytearray() if into is None else into
    async for chunk in chunks_of(answer):
        body += chunk
    return bytes(body)


async def chunks_of(answer: Answer) -> Any:
    """The body as it comes."""
    while chunk := await answer.read():
        yield chunk


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn, a while at most."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not happen")


async def fetch(
    upstream: Upstream, engine: RawEngine, timers: Timers | None = None, **options: Any
) -> tuple[Answer, bytes]:
    """Ask and read all."""
    answer = await upstream.send(ask(engine.address, **options), timers or within())
    return answer, await read_all(answer)
