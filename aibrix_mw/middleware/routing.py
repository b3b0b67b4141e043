"""RoutingMiddleware: chooses the pod, holds it to the last byte, and tries another one where that is safe."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, Headers, UpstreamError, forget_frames, reflect
from aibrix_mw.outcome import NOTHING_TO_TRANSFER, Attempt, FailedAttempt, Outcome
from aibrix_mw.pairing import Pairing
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.lease import Lease
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.request import InferenceRequest
from aibrix_mw.retry import RetryBudget
from aibrix_mw.scope import (
    ANSWER_HEADERS,
    ATTEMPT,
    LEASE,
    OUTCOME,
    PLAN,
    TARGET,
    USAGE,
    InferencePaths,
    answer_headers,
    read_usage,
    refuse,
)
from aibrix_mw.strategies.base import Failure
from aibrix_mw.strategies.plan import Plan

_ANSWERED: Final = frozenset({"ok", "engine_error"})


class RoutingMiddleware:
    """Fills TARGET and ATTEMPT. The choice and the pod's in-flight count are one step of the event loop.

    Until the first body byte has gone to the client, an attempt that failed for a reason of the pod's is repeated on
    another one: `attempts` in all, as far as the retry budget goes; on the same pod only when it is the only one.
    `admission` leaves out pods that fail again and again, and holds back those that are not warm.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: PodRegistry,
        attempts: int = 2,
        budget: RetryBudget | None = None,
        admission: Admission | None = None,
        paths: Iterable[str] = INFERENCE_PATHS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.registry = registry
        self.attempts = attempts
        self.budget = budget or RetryBudget()
        self.admission = admission or Admission(registry)
        self.pairing = Pairing(self.admission, self.budget, attempts)
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
        if plan.strategy.counts_tokens:
            send = read_usage(scope, send)
        answer = ANSWER_HEADERS.require(scope)
        outer_headers = len(answer)
        self.budget.request()
        started = asyncio.get_running_loop().time()
        tried: list[Pod] = []
        failed: tuple[FailedAttempt, ...] = ()
        failures: list[Failure] = []
        following: Target | None = None
        reached = False
        again = True
        while again:
            try:
                target, attempt = self._pick(request, plan, started, tried, failed, following)
            except GatewayError as error:
                error.refund = not reached
                await refuse(error, scope, receive, send)
                return
            TARGET.put(scope, target)
            ATTEMPT.put(scope, attempt)
            answer[outer_headers:] = target.headers if plan.hide_target else _target_headers(plan, target)
            turn = self.admission.placed(target.pod)
            failure = None
            again = False
            with Lease(target.pod, request.prompt_tokens, target.match) as lease:
                LEASE.put(scope, lease)
                if self.admission.ejection.on_trial(target.pod):
                    lease.answered = partial(self.admission.ejection.succeeded, target.pod, turn)
                try:
                    await self.app(scope, receive, send)
                    self._judge(lease, turn, _counted(scope), streamed=request.stream)
                except UpstreamError as error:
                    failure = error
                    forget_frames(error)
                except BaseException:
                    self.admission.ejection.abandoned(target.pod, turn)
                    raise
                if failure is not None:
                    self._blame(target.pod, turn, failure, tried)
                    failed = (*failed, _failed_attempt(target, failure, self.clock() - attempt.picked))
                    reached = reached or failure.reached
                    failures.append(_what_failed(target, failure))
                    again, following = self._again(request, plan, failure, tried, failures)
                    if again:
                        failure.discard()
                    else:
                        ATTEMPT.put(scope, msgspec.structs.replace(attempt, failed=failed))
                        failure.refund = not reached
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
        following: Target | None,
    ) -> tuple[Target, Attempt]:
        if following is not None:  # chosen in this turn of the loop
            return following, Attempt(len(failed) + 1, started, self.clock(), 0.0, failed)
        pods = candidates(self.registry, request, plan.selector, plan.max_in_flight)
        if tried:
            pods = _untried(pods, tried)
        begun = self.clock()
        if plan.strategy.two_legs:
            target = self.pairing.first(plan.strategy, request, pods)
        else:
            target = plan.strategy.pick(request, self.admission.admit(pods))
        picked = self.clock()
        return target, Attempt(len(failed) + 1, started, picked, picked - begun, failed)

    def _blame(self, pod: Pod, turn: int, error: UpstreamError, tried: list[Pod]) -> None:
        """Take the pod as tried, and count its failure where it is the pod's fault, once a request."""
        if not error.blames:
            self.admission.ejection.abandoned(pod, turn)
        elif pod not in tried:
            self.admission.failed(pod, turn)
        tried.append(pod)

    def _judge(self, lease: Lease, turn: int, outcome: Outcome | None, *, streamed: bool) -> None:
        """Learn from an answer's end what it says of the pod."""
        if outcome is None or outcome.name in _ANSWERED:
            self.admission.ejection.succeeded(lease.pod, turn)
            if outcome is not None and outcome.completion_tokens is not None and streamed:
                lease.output(outcome.last_byte - outcome.first_byte, outcome.completion_tokens)
        elif outcome.reason == "timeout":  # a timer of ours between two chunks
            self.admission.failed(lease.pod, turn)
        else:
            self.admission.ejection.abandoned(lease.pod, turn)

    def _again(
        self,
        request: InferenceRequest,
        plan: Plan,
        error: UpstreamError,
        tried: Sequence[Pod],
        failures: Sequence[Failure],
    ) -> tuple[bool, Target | None]:
        """Whether there is another attempt, and its target where the strategy has chosen it already."""
        if not error.repeatable:
            return False, None
        if not plan.strategy.two_legs:
            return self._may_retry(request, plan, tried), None
        pods = partial(candidates, self.registry, request, plan.selector, plan.max_in_flight)
        following = self.pairing.next(plan.strategy, request, pods, failures)
        return following is not None, following

    def _may_retry(self, request: InferenceRequest, plan: Plan, tried: Sequence[Pod]) -> bool:
        return (
            request.repeatable
            and len(tried) < self.attempts
            and self._has_another(request, plan, tried)
            and self.budget.take()
        )

    def _has_another(self, request: InferenceRequest, plan: Plan, tried: Sequence[Pod]) -> bool:
        try:
            return bool(_untried(candidates(self.registry, request, plan.selector, plan.max_in_flight), tried))
        except GatewayError:
            return False


def _counted(scope: Scope) -> Outcome | None:
    """The outcome, with the engine's count of tokens where somebody has read it."""
    outcome, reader = OUTCOME.get(scope), USAGE.get(scope)
    if outcome is None or reader is None or reader.usage is None:
        return outcome
    usage = reader.usage
    counted = msgspec.structs.replace(outcome, prompt_tokens=usage.input, completion_tokens=usage.output)
    OUTCOME.put(scope, counted)
    return counted


def _failed_attempt(target: Target, error: UpstreamError, seconds: float) -> FailedAttempt:
    return FailedAttempt(error.prefill or target.pod.info.name, error.kind, seconds)


def _what_failed(target: Target, error: UpstreamError) -> Failure:
    anywhere = error.reason == NOTHING_TO_TRANSFER
    return Failure(target, error.prefill is not None, alive=not error.blames, anywhere=anywhere)


def _untried(pods: Sequence[Pod], tried: Sequence[Pod]) -> Sequence[Pod]:
    """The pods for one more try: those that had none, or the only one there is."""
    return pods if len(pods) == 1 else [pod for pod in pods if pod not in tried]


def _target_headers(plan: Plan, target: Target) -> Headers:
    headers = (_strategy_header(plan.strategy_name), *target.pod.answer_headers, *target.headers)
    if target.prefill is None:
        return headers
    return (*headers, *[(b"prefill-" + name, value) for name, value in target.prefill.answer_headers])


@lru_cache(maxsize=1024)
def _strategy_header(name: str) -> tuple[bytes, bytes]:
    return (b"routing-strategy", reflect(name))
