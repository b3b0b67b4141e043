"""Small questions to engines beside the inference path: their metrics."""

import asyncio

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import Address
from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream

_HEADERS = ((b"accept", b"text/plain"),)


class Fetch:
    """GETs a path of an engine within `timeout` seconds; answers above `max_bytes` are refused."""

    def __init__(self, upstream: Upstream, timeout: float, *, max_bytes: int = 8_388_608) -> None:
        self.upstream = upstream
        self.timeout = timeout
        self.max_bytes = max_bytes

    async def __call__(self, address: Address, path: bytes) -> bytes:
        """The body of the answer; UpstreamError when there is none, or it is not a 200."""
        until = asyncio.get_running_loop().time() + self.timeout
        request = EngineRequest(address, address.netloc.encode(), path, _HEADERS, b"", method=b"GET")
        timers = Timers(until, "scrape.timeout", whole=True, connect=self.timeout, idle=self.timeout)
        answer = await self.upstream.send(request, timers)
        try:
            return await self._body(answer)
        finally:
            answer.close()

    async def _body(self, answer: Answer) -> bytes:
        if answer.status != 200:
            raise UpstreamError(f"the engine answered {answer.status}", f"status_{answer.status}")
        parts: list[bytes] = []
        size = 0
        while chunk := await answer.read():
            parts.append(chunk)
            size += len(chunk)
            if size > self.max_bytes:
                raise UpstreamError(f"the answer has more than {self.max_bytes} bytes", "malformed")
        return b"".join(parts)
