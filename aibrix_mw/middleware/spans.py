"""The layers that a trace of a gateway has inside: how a pod was chosen, and each attempt on one.

They are in the stack only where TracingMiddleware is outside of it, and pass on what is not recorded.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, cast

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.scope import ATTEMPT, PLAN, REQUEST, TARGET, TRACE
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.telemetry.choice import Explained
from aibrix_mw.trace import Trace
from aibrix_mw.upstream.base import Upstream


class RouteSpanMiddleware:
    """Directly around RoutingMiddleware: has the strategy of the plan explain what it chooses."""

    def __init__(self, app: ASGIApp, *, registry: PodRegistry, ejected: Callable[[], Iterable[Pod]] = tuple) -> None:
        self.app = app
        self.registry = registry
        self.ejected = ejected

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the inner application."""
        trace: Trace | None = scope.get(TRACE.key)
        plan = None if trace is None else PLAN.get(scope)
        if trace is None or plan is None:
            return self.app(scope, receive, send)
        return self._record(trace, plan, scope, receive, send)

    async def _record(self, trace: Trace, plan: Plan, scope: Scope, receive: Receive, send: Send) -> None:
        explained = Explained(plan, self.registry, self.ejected)
        PLAN.put(scope, msgspec.structs.replace(plan, strategy=explained))
        try:
            await self.app(scope, receive, send)
        finally:
            PLAN.put(scope, plan)
            for choice in explained.choices:  # not while the pick is timed
                trace.chose(choice)


class InnerProxy(Protocol):
    """What the attempts' layer needs of the proxy inside of it."""

    upstream: Upstream

    def over(self, upstream: Upstream) -> ASGIApp:
        """The same proxy, with another client of engines."""
        ...

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Forward the request."""
        ...


class AttemptSpanMiddleware:
    """Directly around the proxy: each attempt is a call to an engine, and gets a span of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.proxy = cast(InnerProxy, app)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Forward the request, through a client of engines that records."""
        trace: Trace | None = scope.get(TRACE.key)
        target = None if trace is None else TARGET.get(scope)
        if trace is None or target is None:
            return self.app(scope, receive, send)
        attempt = ATTEMPT.get(scope)
        number = 1 if attempt is None else attempt.number
        upstream = trace.over(self.proxy.upstream, REQUEST.require(scope), target.pod, number=number)
        return self.proxy.over(upstream)(scope, receive, send)
