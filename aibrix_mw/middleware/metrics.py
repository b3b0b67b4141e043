"""MetricsMiddleware: counts every request once, when it has ended."""

import time
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.outcome import Attempt, Outcome
from aibrix_mw.refusals import Refusals
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import (
    ATTEMPT,
    LIMIT_HIT,
    OUTCOME,
    PLAN,
    PREFILLS,
    PROFILE,
    REFUNDED,
    REQUEST,
    TARGET,
    TRACE,
    want_usage,
)
from aibrix_mw.telemetry.histogram import Histogram
from aibrix_mw.telemetry.metrics import UNKNOWN_MODEL, GatewayMetrics
from aibrix_mw.tokens import Usage
from aibrix_mw.watched import Watched

_CRASHED = Outcome(name="internal_error", status=500)


class MetricsMiddleware:
    """Reads what the layers inside have left in the scope; costs nothing while an answer streams.

    Around an application whose answers are its own they are `watched`; our proxy gives an account of them itself.
    `refusals` hears of each request that did not end well; `ignored_headers` are those that clients may send in vain.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: GatewayMetrics,
        watched: bool = True,
        refusals: Refusals | None = None,
        ignored_headers: Collection[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = Watched(app, clock) if watched else app
        self.metrics = metrics
        self.refusals = refusals
        self.ignored_headers = {name.encode(): name for name in ignored_headers}
        self.clock = clock
        self._cells: dict[str, ModelCells] = {}
        self._routing: dict[tuple[str, str], tuple[Histogram, Histogram]] = {}

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

    def refused(self, status: int, path: str) -> None:
        """Count what a server has refused before it was a request."""
        self._record({"type": "http", "path": path}, Outcome(name="bad_request", status=status), None, self.clock())

    def _record(self, scope: Scope, outcome: Outcome, usage: Usage | None, begun: float) -> None:
        metrics = self.metrics
        ended = self.clock()
        request, profile = REQUEST.get(scope), PROFILE.get(scope)
        model = request.model if request is not None else UNKNOWN_MODEL
        name = outcome.name
        metrics.requests[model, profile.name if profile is not None else "", str(outcome.status), name] += 1
        if name != "ok":
            self._record_end(scope, name, model, profile.name if profile is not None else "")
            if self.refusals is not None:
                self.refusals.note(scope, outcome)
        if request is None:
            return
        for header, shown in self.ignored_headers.items():
            if header in request.headers:
                metrics.ignored_headers[shown,] += 1
        first_byte = outcome.first_byte
        if not first_byte:
            metrics.duration[model,].observe(ended - begun)
        else:
            cells = self._cells.get(model)
            if cells is None:
                cells = self._cells[model] = ModelCells(metrics, model)
            cells.duration.observe(ended - begun)
            cells.first_byte.observe(first_byte - begun)
            waited = request.received - begun + outcome.last_byte - outcome.sent  # for the client, for the engine
            attempt = ATTEMPT.get(scope)
            if attempt is not None and (attempt.number > 1 or PREFILLS.key in scope):
                waited += _waited_before(scope, attempt, outcome.sent)
            cells.overhead.observe(ended - begun - waited)
            if request.stream and outcome.status < 400:
                metrics.first_token[model,].observe(first_byte - begun)
                if usage is not None and usage.output > 1:
                    seconds = (outcome.last_byte - first_byte) / (usage.output - 1)
                    metrics.between_tokens[model,].observe(seconds)
            if usage is not None:
                cells.count_tokens(usage)
        self._record_routing(scope, first_byte > 0, model, begun)
        if TRACE.key in scope:
            self._exemplify(TRACE.require(scope).trace_id, request, outcome, begun, ended)

    def _exemplify(
        self, trace_id: str, request: InferenceRequest, outcome: Outcome, begun: float, ended: float
    ) -> None:
        """Name the trace of a request with what it took, so that a slow one is found from a graph."""
        now, metrics = time.time(), self.metrics
        metrics.duration[request.model,].exemplify(ended - begun, trace_id, now)
        if request.stream and outcome.first_byte and outcome.status < 400:
            metrics.first_token[request.model,].exemplify(outcome.first_byte - begun, trace_id, now)

    def _record_end(self, scope: Scope, name: str, model: str, profile: str) -> None:
        """What only requests that went wrong are counted in."""
        metrics = self.metrics
        if REFUNDED.get(scope) and LIMIT_HIT.get(scope) is not None:
            metrics.refunds[model, profile] += 1
        if name == "limited":
            metrics.rejections[model, profile] += 1
        elif name == "stream_truncated":
            metrics.truncated[model,] += 1
        elif name == "client_cancelled":
            metrics.cancelled[model,] += 1

    def _record_routing(self, scope: Scope, answered: bool, model: str, begun: float) -> None:
        attempt, plan, target = ATTEMPT.get(scope), PLAN.get(scope), TARGET.get(scope)
        if attempt is None or plan is None or target is None:
            return
        metrics = self.metrics
        strategy = metrics.strategy_label(plan.strategy_name)
        cells = self._routing.get((model, strategy))
        if cells is None:
            cells = self._routing[model, strategy] = (metrics.pick[strategy,], metrics.routing[model, strategy])
        cells[0].observe(attempt.pick_seconds)
        cells[1].observe(attempt.picked - begun)
        failed = attempt.failed
        for one in failed:
            metrics.attempts[model, one.reason] += 1
        if answered and len(failed) < attempt.number:
            metrics.attempts[model, "ok"] += 1
        if target.match is not None:
            metrics.match[model,].observe(target.match)
        if target.fallback is not None:
            metrics.fallbacks[model, strategy, target.fallback] += 1
        if target.alone is not None:
            metrics.pd_fallbacks[model, target.alone] += 1
        legs = PREFILLS.get(scope)
        if legs is not None:
            metrics.count_prefills(model, legs)


def _waited_before(scope: Scope, attempt: Attempt, sent: float) -> float:
    """Seconds for which engines were waited for before the attempt that was answered was `sent`: failed ones, prefill.

    The prefill legs of failed attempts are a part of those.
    """
    waited = 0.0
    for failed in attempt.failed[: attempt.number - 1]:
        waited += failed.seconds
    for leg in PREFILLS.get(scope) or ():
        if leg.started >= attempt.picked:
            waited += max(0.0, min(leg.ended, sent) - leg.started)
    return waited


class ModelCells:
    """What is counted of each of a model's answers, looked up once."""

    __slots__ = ("_cached", "_input", "_output", "_tokens", "duration", "first_byte", "overhead")

    def __init__(self, metrics: GatewayMetrics, model: str) -> None:
        self.duration: Histogram = metrics.duration[model,]
        self.first_byte: Histogram = metrics.first_byte[model,]
        self.overhead: Histogram = metrics.overhead[()]
        self._tokens = metrics.tokens
        self._input = (model, "input")
        self._output = (model, "output")
        self._cached = (model, "cached")

    def count_tokens(self, usage: Usage) -> None:
        """Count what the engine has counted for one request."""
        tokens = self._tokens
        tokens[self._input] += usage.input
        tokens[self._output] += usage.output
        tokens[self._cached] += usage.cached
