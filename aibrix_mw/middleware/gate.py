"""GateMiddleware: refuses what the gateway cannot take now."""

import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import Draining, GatewayError, Unavailable
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.paths import PROBES, route_path
from aibrix_mw.scope import refuse

logger = logging.getLogger("aibrix_mw")


class GateMiddleware:
    """Lets requests in while the gateway runs, at most `max_in_flight` at a time, none while it lags; probes always."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, max_in_flight: int = 10_000) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal()
        if refusal is not None and route_path(scope) not in PROBES:
            await refuse(refusal, scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1

    def _refusal(self) -> GatewayError | None:
        if self.lifecycle.closing:
            return Draining()
        if not self.lifecycle.running:
            self._tell()
            return Unavailable("the gateway is not running")
        if self.in_flight >= self.max_in_flight:
            return Unavailable("too many requests in flight")
        if self.lifecycle.lagging:
            return Unavailable("the gateway has more to do than it can")
        return None

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.error("a request came before Gateway.running() was entered: enter it in the application's lifespan")
