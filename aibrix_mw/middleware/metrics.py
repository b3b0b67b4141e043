"""MetricsMiddleware: counts every request once, when it has ended."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.outcome import Outcome
from aibrix_mw.scope import ATTEMPT, LIMIT_HIT, OUTCOME, PLAN, PROFILE, REFUNDED, REQUEST, TARGET, want_usage
from aibrix_mw.telemetry.metrics import UNKNOWN_MODEL, GatewayMetrics
from aibrix_mw.usage import Usage

_CRASHED = Outcome(name="internal_error", status=500)


class MetricsMiddleware:
    """Reads what the layers inside have left in the scope; costs nothing while an answer streams."""

    def __init__(
        self, app: ASGIApp, *, metrics: GatewayMetrics, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application and record how the request ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = self.clock()
        usage = want_usage(scope)
        try:
            await self.app(scope, receive, send)
        except BaseException:
            self._record(scope, OUTCOME.get(scope) or _CRASHED, usage.usage, begun)
            raise
        outcome = OUTCOME.get(scope)
        if outcome is not None:
            self._record(scope, outcome, usage.usage, begun)

    def _record(self, scope: Scope, outcome: Outcome, usage: Usage | None, begun: float) -> None:
        metrics = self.metrics
        ended = self.clock()
        request, profile = REQUEST.get(scope), PROFILE.get(scope)
        model = request.model if request is not None else UNKNOWN_MODEL
        profile_name = profile.name if profile is not None else ""
        metrics.requests[model, profile_name, str(outcome.status), outcome.name] += 1
        if REFUNDED.get(scope) and LIMIT_HIT.get(scope) is not None:
            metrics.refunds[model, profile_name] += 1
        if outcome.name == "limited":
            metrics.rejections[model, profile_name] += 1
        elif outcome.name == "stream_truncated":
            metrics.truncated[model,] += 1
        elif outcome.name == "client_cancelled":
            metrics.cancelled[model,] += 1
        if request is None:
            return
        metrics.duration[model,].observe(ended - begun)
        if outcome.first_byte:
            metrics.first_byte[model,].observe(outcome.first_byte - begun)
            body_wait = request.received - begun
            metrics.overhead[()].observe(ended - begun - body_wait - (outcome.last_byte - outcome.sent))
            if request.stream and outcome.status < 400:
                metrics.first_token[model,].observe(outcome.first_byte - begun)
        if usage is not None:
            metrics.count_tokens(model, usage)
        self._record_routing(scope, outcome, model, begun)

    def _record_routing(self, scope: Scope, outcome: Outcome, model: str, begun: float) -> None:
        attempt, plan, target = ATTEMPT.get(scope), PLAN.get(scope), TARGET.get(scope)
        if attempt is None or plan is None or target is None:
            return
        strategy = self.metrics.strategy_label(plan.strategy_name)
        self.metrics.pick[strategy,].observe(attempt.pick_seconds)
        self.metrics.routing[model, strategy].observe(attempt.picked - begun)
        answered = outcome.first_byte > 0 and len(attempt.failed) < attempt.number
        self.metrics.count_attempts(model, attempt.failed, answered=answered)
        if target.match is not None:
            self.metrics.match[model,].observe(target.match)
        if target.fallback is not None:
            self.metrics.fallbacks[model, strategy, target.fallback] += 1
