"""RoutingMiddleware: chooses the pod, holds it to the last byte, and tries another one where that is safe."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, Headers, UpstreamError
from aibrix_mw.outcome import FailedAttempt
from aibrix_mw.paths import INFERENCE_PATHS, InferenceRoutes
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.request import InferenceRequest
from aibrix_mw.retry import RetryBudget
from aibrix_mw.scope import (
    ANSWER_HEADERS,
    ATTEMPT,
    OUTCOME,
    PLAN,
    REQUEST,
    TARGET,
    Attempt,
    Plan,
    answer_headers,
    refuse,
)


class RoutingMiddleware:
    """Fills TARGET and ATTEMPT. The choice and the pod's in-flight count are one step of the event loop.

    Until the first body byte has gone to the client, an attempt that failed for a reason of the pod's is repeated on
    another one: `attempts` in all, as far as the retry budget goes; on the same pod only when it is the only one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: PodRegistry,
        attempts: int = 2,
        budget: RetryBudget | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.registry = registry
        self.attempts = attempts
        self.budget = budget or RetryBudget()
        self.routes = InferenceRoutes(paths)
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route the request, again and again until it is answered."""
        if not self.routes.match(scope):
            await self.app(scope, receive, send)
            return
        request, plan = REQUEST.require(scope), PLAN.require(scope)
        send = answer_headers(scope, send, ())
        outer_headers = ANSWER_HEADERS.require(scope)
        self.budget.request()
        attempt = Attempt(1, asyncio.get_running_loop().time())
        tried: list[Pod] = []
        while True:
            try:
                target, attempt = self._pick(request, plan, tried, attempt)
            except GatewayError as error:
                await refuse(error, scope, receive, send)
                return
            TARGET.put(scope, target)
            ATTEMPT.put(scope, attempt)
            ANSWER_HEADERS.put(scope, (*outer_headers, *self._target_headers(plan, target)))
            failure = await self._attempt(scope, receive, send, request, target, attempt)
            if failure is None:
                return
            tried.append(target.pod)
            failed = (*attempt.failed, FailedAttempt(target.pod.info.name, failure.reason))
            attempt = Attempt(attempt.number + 1, attempt.started, failed=failed)

    def _pick(
        self, request: InferenceRequest, plan: Plan, tried: Sequence[Pod], attempt: Attempt
    ) -> tuple[Target, Attempt]:
        pods = candidates(self.registry, request, plan.selector)
        if tried:
            pods = [pod for pod in pods if pod not in tried] or pods
        begun = self.clock()
        target = plan.strategy.pick(request, pods)
        picked = self.clock()
        return target, Attempt(attempt.number, attempt.started, picked, picked - begun, attempt.failed)

    async def _attempt(
        self, scope: Scope, receive: Receive, send: Send, request: InferenceRequest, target: Target, attempt: Attempt
    ) -> UpstreamError | None:
        """Try one pod; the failure when another try is to follow, None when the request has ended."""
        with target.pod.lease():
            try:
                await self.app(scope, receive, send)
            except UpstreamError as error:
                if self._may_retry(request, error, attempt):
                    error.discard()
                    return error
                await refuse(error, scope, receive, send)
        outcome = OUTCOME.get(scope)
        if outcome is not None:
            PLAN.require(scope).strategy.observe(request, target, outcome)
        return None

    def _may_retry(self, request: InferenceRequest, error: UpstreamError, attempt: Attempt) -> bool:
        return (
            error.repeatable
            and request.repeatable
            and attempt.number < self.attempts
            and bool(self.registry.serving(request.requested_model))
            and self.budget.take()
        )

    def _target_headers(self, plan: Plan, target: Target) -> Headers:
        if plan.hide_target:
            return target.headers
        strategy = (b"routing-strategy", plan.strategy_name.encode())
        return (strategy, *target.pod.answer_headers, *target.headers)
