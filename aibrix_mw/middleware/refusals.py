"""RefusalsMiddleware: takes note of requests that did not end well, where no metrics do."""

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.refusals import Refusals
from aibrix_mw.scope import OUTCOME


class RefusalsMiddleware:
    """Looks at the outcome after the inner application has returned."""

    def __init__(self, app: ASGIApp, *, refusals: Refusals) -> None:
        self.app = app
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application."""
        try:
            await self.app(scope, receive, send)
        finally:
            outcome = OUTCOME.get(scope)
            if outcome is not None and outcome.name != "ok":
                self.refusals.note(scope, outcome)
