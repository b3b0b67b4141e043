"""What the access log says of a request: never its text, its query or its key."""

import time

import msgspec
from starlette.types import Scope

from aibrix_mw.headers import text_of
from aibrix_mw.outcome import Outcome
from aibrix_mw.paths import route_path
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.profiles import BUILT_IN, ConfigProfile, source_of
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import ATTEMPT, KEY, PLAN, PROFILE, REQUEST, REQUEST_ID, TARGET, TRACE, USAGE

_LONGEST = 256


class Try(msgspec.Struct):
    """One attempt: the pod, and how it ended."""

    pod: str
    reason: str


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One request. Times are seconds: `first_byte` and `routing` from its head, `engine` from sent to last byte.

    `left_out` counts the lines of other requests that this second had no room for.
    """

    time: str
    request_id: str | None = None
    trace_id: str | None = None
    method: str
    path: str
    status: int
    outcome: str
    user: str | None = None
    requested_model: str | None = None
    model: str | None = None
    profile: str | None = None
    profile_source: str | None = None
    strategy: str | None = None
    strategy_source: str | None = None
    pod: str | None = None
    prefill_pod: str | None = None
    attempts: list[Try] = []
    duration: float = 0.0
    routing: float | None = None
    first_byte: float | None = None
    engine: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    left_out: int = 0


class Lines:
    """Writes lines; `registry` and `client_may_choose` say whether a client's wish for a profile counted."""

    def __init__(self, registry: PodRegistry | None = None, *, client_may_choose: bool = True) -> None:
        self.registry = registry
        self.client_may_choose = client_may_choose

    def line(self, scope: Scope, outcome: Outcome, begun: float, ended: float, now: float, left_out: int) -> str:
        """One line of JSON; `begun` and `ended` by the request's clock, `now` since the epoch."""
        line = Line(
            time=_iso(now),
            method=scope["method"],
            path=route_path(scope)[:_LONGEST],
            status=outcome.status,
            outcome=outcome.name,
            duration=_seconds(ended - begun),
            left_out=left_out,
        )
        self._tell_who(line, scope, outcome)
        _tell_way(line, scope, outcome, begun)
        return msgspec.json.encode(line).decode()

    def _tell_who(self, line: Line, scope: Scope, outcome: Outcome) -> None:
        """Whose request it is, and what applied to it."""
        request_id, trace, key = REQUEST_ID.get(scope), TRACE.get(scope), KEY.get(scope)
        request, profile, plan = REQUEST.get(scope), PROFILE.get(scope), PLAN.get(scope)
        line.request_id = request_id.decode() if request_id is not None else None
        line.trace_id = trace.trace_id if trace is not None else None
        line.user = key.name if key is not None else None
        if outcome.requested_model is not None:
            line.requested_model = outcome.requested_model[:_LONGEST]
        if request is not None:
            line.user = request.user or line.user
            line.requested_model = request.requested_model
            line.model = request.model
            if profile is not None:
                line.profile = profile.name
                line.profile_source = self._source(request, profile)
        if plan is not None:
            line.strategy = plan.strategy_name[:_LONGEST]
            line.strategy_source = plan.source

    def _source(self, request: InferenceRequest, profile: ConfigProfile) -> str:
        """Why this profile applied: `header`, `auto`, or `default`."""
        wanted = text_of(request.header(b"config-profile") or b"")
        config = self.registry.config(request.requested_model) if self.registry is not None else BUILT_IN
        return source_of(config, wanted, profile, client_may_choose=self.client_may_choose)


def _tell_way(line: Line, scope: Scope, outcome: Outcome, begun: float) -> None:
    """Where it went, and what it took."""
    attempt, target, reader = ATTEMPT.get(scope), TARGET.get(scope), USAGE.get(scope)
    if attempt is not None and target is not None:
        line.pod = target.pod.info.name
        line.prefill_pod = target.prefill.info.name if target.prefill is not None else None
        line.routing = _seconds(attempt.picked - begun)
        line.attempts = [Try(failed.pod, failed.reason) for failed in attempt.failed]
        if len(attempt.failed) < attempt.number:
            reason = "ok" if outcome.first_byte and outcome.reason is None else outcome.reason or outcome.name
            line.attempts.append(Try(target.pod.info.name, reason))
    if outcome.first_byte:
        line.first_byte = _seconds(outcome.first_byte - begun)
        line.engine = _seconds(outcome.last_byte - outcome.sent)
    usage = reader.usage if reader is not None else None
    if usage is not None:
        line.input_tokens, line.output_tokens, line.cached_tokens = usage.input, usage.output, usage.cached


def _seconds(value: float) -> float:
    return round(value, 6)


def _iso(now: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now % 1 * 1000):03d}Z"
