"""Plain HTTP over the pooled client of the hot path, TLS over httpx."""

from collections.abc import Awaitable

from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream
from aibrix_mw.upstream.http1 import Http1Upstream


class SchemeUpstream:
    """An `Upstream` that takes the client by the address's scheme; httpx is imported at the first `https://`."""

    def __init__(self, plain: Http1Upstream) -> None:
        self.plain: Upstream = plain
        self._tls: Upstream | None = None

    def send(self, request: EngineRequest, timers: Timers) -> Awaitable[Answer]:
        """Send by the client for the address."""
        upstream = self._tls_client() if request.address.tls else self.plain
        return upstream.send(request, timers)

    def _tls_client(self) -> Upstream:
        if self._tls is None:
            from aibrix_mw.upstream.httpx import HttpxUpstream

            self._tls = HttpxUpstream()
        return self._tls

    async def aclose(self) -> None:
        """Close both."""
        await self.plain.aclose()
        if self._tls is not None:
            await self._tls.aclose()
