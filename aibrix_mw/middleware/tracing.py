"""TracingMiddleware: one trace a request that is sampled; what is not sampled costs a header and a random number."""

from collections.abc import Awaitable, Iterable
from random import Random, SystemRandom

from opentelemetry import trace as otel
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, TraceState
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aibrix_mw import __version__
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.scope import (
    ATTEMPT,
    OUTCOME,
    PLAN,
    PROFILE,
    REQUEST,
    REQUEST_ID,
    TARGET,
    TRACE,
    InferencePaths,
    headers_of,
)
from aibrix_mw.telemetry import conventions as name
from aibrix_mw.telemetry.marks import TRACE_HEADERS, Header, fail, trace_headers
from aibrix_mw.telemetry.spans import RecordedTrace
from aibrix_mw.trace import Parent, format_traceparent, parse_traceparent

_SERVING = (SpanKind.SERVER, SpanKind.INTERNAL)
_FAILED = frozenset({"stream_truncated"})


class TracingMiddleware:
    """Makes the SERVER span of a request, or takes part in the one of the application around it.

    Whoever is inside finds the trace in the slot TRACE, if the request is recorded, and `traceparent` in the headers.
    `sample_ratio` is the share of requests that are recorded; None leaves it to the provider's sampler, which costs
    more. The client's own trace is continued with `trust_parent`: then its flag decides; else it is linked to. With
    `capture_text` spans carry prompts and answers. Without a `tracer_provider` the global one is used, of which there
    need not be any.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracer_provider: otel.TracerProvider | None = None,
        sample_ratio: float | None = None,
        trust_parent: bool = False,
        capture_text: bool = False,
        paths: Iterable[str] = INFERENCE_PATHS,
        rng: Random | None = None,
    ) -> None:
        self.app = app
        self.tracer = otel.get_tracer("aibrix_mw", __version__, tracer_provider)
        self.sample_ratio = sample_ratio
        self.trust_parent = trust_parent
        self.capture_text = capture_text
        self.paths = InferencePaths(paths)
        self.rng = rng or Random(SystemRandom().getrandbits(128))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application."""
        if self.paths.match(scope):
            around = _around() if get_current() else None
            parent = _parent(scope) if self.trust_parent and around is None else None
            if around is not None:
                await self._take_part(around, scope, receive, send)
                return
            if self._records(parent):
                await self._serve(parent, scope, receive, send)
                return
            if parent is None:  # whose traceparent the engine would get
                _pass_on(scope, [self._unrecorded()])
        await self.app(scope, receive, send)

    def _records(self, parent: Parent | None) -> bool:
        """Whether to make a span, which the provider may still not record."""
        if self.sample_ratio is None:
            return True
        return self.rng.random() < self.sample_ratio if parent is None else parent.sampled

    def _unrecorded(self) -> Header:
        """What tells an engine not to record either."""
        rng = self.rng.getrandbits
        return (b"traceparent", format_traceparent(rng(128) or 1, rng(64) or 1, sampled=False))

    async def _serve(self, parent: Parent | None, scope: Scope, receive: Receive, send: Send) -> None:
        context, links = Context(), []
        if parent is not None:
            context = otel.set_span_in_context(NonRecordingSpan(_remote(parent, scope)), context)
        elif (stranger := _parent(scope)) is not None:
            links.append(Link(_remote(stranger, scope)))
        route = route_path(scope)
        span = self.tracer.start_span(f"POST {route}", context, SpanKind.SERVER, _request(scope, route), links)
        if not span.is_recording():
            _pass_on(scope, trace_headers(span.get_span_context()))
            await self.app(scope, receive, send)
            return
        watch = _Watch(send)
        try:
            await self._record(span, scope, receive, watch)
        except Exception as error:
            fail(span, type(error).__name__)  # and not its text, which may quote the request
            raise
        finally:
            _conclude(span, scope, watch.status)
            span.end()

    async def _take_part(self, around: Span, scope: Scope, receive: Receive, send: Send) -> None:
        if not around.is_recording():
            _pass_on(scope, trace_headers(around.get_span_context()))
            await self.app(scope, receive, send)
            return
        try:
            await self._record(around, scope, receive, send)
        finally:
            _describe(around, scope)

    async def _record(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        TRACE.put(scope, RecordedTrace(self.tracer, span, capture_text=self.capture_text))
        _pass_on(scope, trace_headers(span.get_span_context()))
        token = attach(otel.set_span_in_context(span))
        try:
            await self.app(scope, receive, send)
        finally:
            detach(token)


class _Watch:
    """A `send` that remembers the status."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self._send = send

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return self._send(message)


def _around() -> Span | None:
    """The span of a request that somebody outside of us has made in this process."""
    span = otel.get_current_span()
    is_server = getattr(span, "kind", SpanKind.SERVER) in _SERVING
    return span if is_server and span.get_span_context().is_valid else None


def _parent(scope: Scope) -> Parent | None:
    """The client's span; None where it names none, or more than one."""
    if b"traceparent" not in headers_of(scope):
        return None
    values = [value for key, value in scope["headers"] if key == b"traceparent"]
    return parse_traceparent(values[0]) if len(values) == 1 else None


def _remote(parent: Parent, scope: Scope) -> SpanContext:
    states = [value.decode("latin-1") for key, value in scope["headers"] if key == b"tracestate"]
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return SpanContext(parent.trace_id, parent.span_id, True, flags, TraceState.from_header(states))


def _pass_on(scope: Scope, headers: list[Header]) -> None:
    """Have those inside see this trace instead of the client's."""
    known = headers_of(scope)
    if b"traceparent" in known or b"tracestate" in known:
        scope["headers"] = [header for header in scope["headers"] if header[0] not in TRACE_HEADERS]
        known.pop(b"tracestate", None)
    scope["headers"] = [*scope["headers"], *headers]
    known.update(headers)


def _request(scope: Scope, route: str) -> dict[str, str | int]:
    """What is known of a request by its head; not the query, in which keys may stand."""
    attributes: dict[str, str | int] = {
        name.HTTP_METHOD: "POST",
        name.HTTP_ROUTE: route,
        name.URL_PATH: scope["path"],
        name.URL_SCHEME: scope.get("scheme", "http"),
        name.PROTOCOL_VERSION: scope.get("http_version", "1.1"),
    }
    client, server = scope.get("client"), scope.get("server")
    if client:
        attributes[name.CLIENT_ADDRESS] = client[0]
    if server:
        attributes[name.SERVER_ADDRESS] = server[0]
        if server[1] is not None:
            attributes[name.SERVER_PORT] = server[1]
    agent = headers_of(scope).get(b"user-agent")
    if agent is not None:
        attributes[name.USER_AGENT] = agent[:256].decode("latin-1")
    return attributes


def _describe(span: Span, scope: Scope) -> None:
    """What the layers inside have found out."""
    request, profile, plan = REQUEST.get(scope), PROFILE.get(scope), PLAN.get(scope)
    target, attempt, outcome = TARGET.get(scope), ATTEMPT.get(scope), OUTCOME.get(scope)
    request_id = REQUEST_ID.get(scope)
    if request_id is not None:
        span.set_attribute(name.REQUEST_ID, request_id.decode())
    if request is not None:
        span.set_attribute(name.MODEL, request.model)
    if profile is not None:
        span.set_attribute(name.PROFILE, profile.name)
    if plan is not None:
        span.set_attribute(name.STRATEGY, plan.strategy_name[:256])
    if target is not None:
        span.set_attribute(name.POD, target.pod.info.name)
    if attempt is not None:
        span.set_attribute(name.ATTEMPTS, attempt.number)
    if outcome is not None:
        span.set_attribute(name.OUTCOME, outcome.name)


def _conclude(span: Span, scope: Scope, status: int) -> None:
    """The end of the SERVER span: 4xx is the client's error, and one that has left made none."""
    _describe(span, scope)
    outcome = OUTCOME.get(scope)
    if status:
        span.set_attribute(name.HTTP_STATUS, status)
    if status >= 500 or (outcome is not None and outcome.name in _FAILED):
        own = outcome is not None and outcome.name not in {"ok", "engine_error"}
        fail(span, outcome.name if outcome is not None and own else str(status))
