"""AccessLogMiddleware: one JSON line a request, when it has ended; never its text, its query or its key."""

import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.access_line import Lines
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.scope import OUTCOME, want_usage

logger = logging.getLogger("aibrix_mw.access")

MOST_ERRORS = 100
"""Lines a second that errors get: refusals are cheap on purpose, and a flood of them must stay so."""
_CRASHED = Outcome(name="internal_error", status=500)


class AccessLogMiddleware:
    """Logs on `aibrix_mw.access`, level info: every request that has an outcome, or `only_errors`.

    An error is what did not end `ok`, and an engine's 4xx; of those at most `MOST_ERRORS` a second are written.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        only_errors: bool = False,
        registry: PodRegistry | None = None,
        client_may_choose: bool = True,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.only_errors = only_errors
        self.lines = Lines(registry, client_may_choose=client_may_choose)
        self.clock = clock
        self.wall_clock = wall_clock
        self._second = 0
        self._lines = 0
        self._left_out = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application and log how the request ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = self.clock()
        if not self.only_errors:
            want_usage(scope)
        outcome: Outcome | None = _CRASHED
        try:
            await self.app(scope, receive, send)
            outcome = OUTCOME.get(scope)
        finally:
            if outcome is not None and (not self.only_errors or outcome.status >= 400 or outcome.name != "ok"):
                self._log(scope, OUTCOME.get(scope) or outcome, begun)

    def _log(self, scope: Scope, outcome: Outcome, begun: float) -> None:
        now = self.wall_clock()
        if self.only_errors and not self._has_room(int(now)):
            return
        logger.info("%s", self.lines.line(scope, outcome, begun, self.clock(), now, self._left_out))
        self._left_out = 0

    def _has_room(self, second: int) -> bool:
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= MOST_ERRORS:
            return True
        self._left_out += 1
        return False
