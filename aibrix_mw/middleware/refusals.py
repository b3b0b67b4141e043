"""RefusalsMiddleware: takes note of requests that did not end well, where no metrics do."""

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.outcome import Outcome
from aibrix_mw.refusals import Refusals
from aibrix_mw.scope import OUTCOME


class RefusalsMiddleware:
    """Looks at the outcome after the inner application has returned."""

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals

    def refused(self, status: int, path: str) -> None:
        """Take note of what a server has refused before it was a request."""
        self.refusals.note({"type": "http", "path": path}, Outcome(name="bad_request", status=status))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application."""
        try:
            await self.app(scope, receive, send)
        finally:
            outcome = OUTCOME.get(scope)
            if outcome is not None and outcome.name != "ok":
                self.refusals.note(scope, outcome)
