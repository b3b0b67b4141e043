"""RoutingMiddleware: chooses the pod, holds it to the last byte, and tries another one where that is safe."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, Headers, UpstreamError, reflect
from aibrix_mw.outcome import Attempt, FailedAttempt
from aibrix_mw.paths import INFERENCE_PATHS
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
    TARGET,
    InferencePaths,
    answer_headers,
    refuse,
)
from aibrix_mw.strategies.plan import Plan


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
        self.paths = InferencePaths(paths)
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route the request, again and again until it is answered."""
        request = self.paths.request(scope)
        if request is None:
            await self.app(scope, receive, send)
            return
        plan = PLAN.require(scope)
        send = answer_headers(scope, send, ())
        answer = ANSWER_HEADERS.require(scope)
        outer_headers = len(answer)
        self.budget.request()
        started = asyncio.get_running_loop().time()
        tried: list[Pod] = []
        failed: tuple[FailedAttempt, ...] = ()
        again = True
        while again:
            try:
                target, attempt = self._pick(request, plan, started, tried, failed)
            except GatewayError as error:
                error.refund = _none_sent(failed)
                await refuse(error, scope, receive, send)
                return
            TARGET.put(scope, target)
            ATTEMPT.put(scope, attempt)
            answer[outer_headers:] = target.headers if plan.hide_target else _target_headers(plan, target)
            failure = None
            again = False
            with target.pod.lease():
                try:
                    await self.app(scope, receive, send)
                except UpstreamError as error:
                    failure = error
                if failure is not None:
                    tried.append(target.pod)
                    failed = (*failed, FailedAttempt(target.pod.info.name, failure.reason))
                    again = self._may_retry(request, plan, failure, tried)
                    if again:
                        failure.discard()
                    else:
                        ATTEMPT.put(scope, msgspec.structs.replace(attempt, failed=failed))
                        failure.refund = _none_sent(failed)
                        await refuse(failure, scope, receive, send)
        outcome = OUTCOME.get(scope)
        if outcome is not None:
            plan.strategy.observe(request, target, outcome)

    def _pick(
        self,
        request: InferenceRequest,
        plan: Plan,
        started: float,
        tried: Sequence[Pod],
        failed: tuple[FailedAttempt, ...],
    ) -> tuple[Target, Attempt]:
        pods = candidates(self.registry, request, plan.selector, plan.max_in_flight)
        if tried:
            pods = _untried(pods, tried)
        begun = self.clock()
        target = plan.strategy.pick(request, pods)
        picked = self.clock()
        return target, Attempt(len(failed) + 1, started, picked, picked - begun, failed)

    def _may_retry(self, request: InferenceRequest, plan: Plan, error: UpstreamError, tried: Sequence[Pod]) -> bool:
        return (
            error.repeatable
            and request.repeatable
            and len(tried) < self.attempts
            and self._has_another(request, plan, tried)
            and self.budget.take()
        )

    def _has_another(self, request: InferenceRequest, plan: Plan, tried: Sequence[Pod]) -> bool:
        try:
            return bool(_untried(candidates(self.registry, request, plan.selector, plan.max_in_flight), tried))
        except GatewayError:
            return False


def _none_sent(failed: Sequence[FailedAttempt]) -> bool:
    """Whether no byte of the request has reached an engine: what it was counted for has not been used."""
    return all(attempt.reason == "connect" for attempt in failed)


def _untried(pods: Sequence[Pod], tried: Sequence[Pod]) -> Sequence[Pod]:
    """The pods for one more try: those that had none, or the only one there is."""
    return pods if len(pods) == 1 else [pod for pod in pods if pod not in tried]


def _target_headers(plan: Plan, target: Target) -> Headers:
    return (_strategy_header(plan.strategy_name), *target.pod.answer_headers, *target.headers)


@lru_cache(maxsize=1024)
def _strategy_header(name: str) -> tuple[bytes, bytes]:
    return (b"routing-strategy", reflect(name))
