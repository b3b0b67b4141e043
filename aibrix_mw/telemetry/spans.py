"""The spans of one recorded request, by the API of OpenTelemetry; whoever made the tracer decides where they go."""

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from aibrix_mw.errors import GatewayError, UpstreamError
from aibrix_mw.pods.pod import Pod
from aibrix_mw.request import InferenceRequest
from aibrix_mw.telemetry import conventions as name
from aibrix_mw.telemetry.answer import AnswerReader
from aibrix_mw.telemetry.text import AnswerText, input_messages
from aibrix_mw.trace import format_traceparent

if TYPE_CHECKING:  # siblings
    from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
    from aibrix_mw.limiting.quota import Hit, Quotas
    from aibrix_mw.telemetry.choice import Choice
    from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream

Attributes = Mapping[str, str | int | float | Sequence[str]]
Header = tuple[bytes, bytes]
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})


def trace_headers(context: SpanContext) -> list[Header]:
    """The headers that tell somebody else of a span."""
    sampled = context.trace_flags.sampled
    headers = [(b"traceparent", format_traceparent(context.trace_id, context.span_id, sampled=sampled))]
    if context.trace_state:
        headers.append((b"tracestate", context.trace_state.to_header().encode()))
    return headers


def fail(span: Span, error_type: str) -> None:
    """Say that what the span stands for has failed, by a word that says nothing of the request's content."""
    span.set_attribute(name.ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))


class RecordedTrace:
    """The spans below the one of the server; a `Trace`. With `capture_text` they carry prompts and answers."""

    def __init__(self, tracer: Tracer, server: Span, *, capture_text: bool = False) -> None:
        self.capture_text = capture_text
        self.tracer = tracer
        self.server = server
        self.trace_id = f"{server.get_span_context().trace_id:032x}"
        self._below = set_span_in_context(server)

    def start(self, span: str, kind: SpanKind, attributes: Attributes, at: int | None = None) -> Span:
        """Start a child of the server's span, now or at a moment in nanoseconds since the epoch."""
        return self.tracer.start_span(span, self._below, kind, attributes, start_time=at)

    def event(self, event: str) -> None:
        """Note on the server's span that something has happened."""
        self.server.add_event(event)

    def chose(self, choice: "Choice") -> None:
        """Make a span of a choice that has been made."""
        span = self.start(name.ROUTE_SPAN, SpanKind.INTERNAL, _routing(choice), choice.begun)
        if choice.refusal is not None:
            fail(span, choice.refusal)
        span.end(choice.ended)

    def over(
        self, upstream: "Upstream", request: InferenceRequest, pod: Pod, *, number: int = 1, role: str | None = None
    ) -> "Upstream":
        """A client of engines that makes a CLIENT span of each call."""
        return TracedUpstream(self, upstream, request, pod, number, role)

    async def ask(self, limiter: "Limiter | SharedLimiter", quotas: "Quotas") -> "Hit":
        """Have a limiter ask its store, within a span of its own."""
        span = self.start(name.LIMIT_SPAN, SpanKind.INTERNAL, {})
        try:
            hit = await limiter.take(quotas)
            shown = hit.full or hit.tightest or quotas[0]
            span.set_attribute(name.LIMIT, shown.limit)
            span.set_attribute(name.WINDOW, shown.per)
            span.set_attribute(name.DECISION, "taken" if hit.full is None else "limited")
            span.set_attribute(name.BACKEND, _backend(limiter, hit))
            return hit
        except GatewayError as error:
            span.set_attribute(name.DECISION, "refused")
            fail(span, error.outcome)
            raise
        finally:
            span.end()


def _backend(limiter: "Limiter | SharedLimiter", hit: "Hit") -> str:
    """Who has counted: the store, this process while the store is away, or nobody."""
    if hit.tightest is None:
        return "none"
    local = getattr(limiter, "local", None)
    return "process" if limiter.away is not None or (local is not None and hit.counter is local) else "store"


def _routing(choice: "Choice") -> Attributes:
    attributes: dict[str, str | int | float | Sequence[str]] = {
        name.STRATEGY: choice.strategy[:256],
        name.KNOWN: choice.known,
        name.READY: choice.ready,
        name.ROUTABLE: choice.routable,
        name.EXCLUDED: [f"{reason}={count}" for reason, count in sorted(choice.excluded.items())],
        name.SCORES: [f"{pod}={score:g}" for pod, score in choice.scores],
    }
    if choice.target is not None:
        attributes[name.POD] = choice.target.pod.info.name
        if choice.target.prefill is not None:
            attributes[name.PREFILL_POD] = choice.target.prefill.info.name
        fallback = choice.target.alone or choice.target.fallback
        if fallback is not None:
            attributes[name.FALLBACK] = fallback
    return attributes


class TracedUpstream:
    """An `Upstream` that records what it is used for; made for one request, an attempt each."""

    def __init__(
        self,
        trace: RecordedTrace,
        upstream: "Upstream",
        request: InferenceRequest,
        pod: Pod,
        number: int,
        role: str | None,
    ) -> None:
        self._trace = trace
        self._upstream = upstream
        self._request = request
        self._pod = pod
        self._number = number
        self._role = role

    async def send(self, request: "EngineRequest", timers: "Timers") -> "Answer":
        """Send the request, with the span as its parent on the engine."""
        span = self._trace.start(
            f"{name.operation(self._request.path)} {self._request.model}", SpanKind.CLIENT, self._attributes(request)
        )
        headers = [header for header in request.headers if header[0] not in TRACE_HEADERS]
        headers += trace_headers(span.get_span_context())
        text = None
        if self._trace.capture_text:
            span.set_attribute(name.INPUT_MESSAGES, input_messages(self._request))
            text = AnswerText()
        call = Call(span, streamed=self._request.stream and self._role is None, text=text)
        try:
            answer = await self._upstream.send(msgspec.structs.replace(request, headers=headers), timers)
        except BaseException as error:
            call.end(error)
            raise
        return TracedAnswer(answer, call)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._upstream.aclose()

    def _attributes(self, request: "EngineRequest") -> Attributes:
        attributes: dict[str, str | int] = {
            name.OPERATION: name.operation(self._request.path),
            name.PROVIDER: self._pod.info.engine,
            name.REQUEST_MODEL: self._request.requested_model,
            name.HTTP_METHOD: request.method.decode(),
            name.SERVER_ADDRESS: request.address.host,
            name.SERVER_PORT: request.address.port,
            name.POD: self._pod.info.name,
        }
        if self._number > 1:
            attributes[name.HTTP_RESENDS] = self._number - 1
        if self._role is not None:
            attributes[name.ROLE] = self._role
        return attributes


class Call:
    """The CLIENT span of one call to an engine, from its start to the end of the answer."""

    def __init__(self, span: Span, *, streamed: bool, text: AnswerText | None = None) -> None:
        self.span = span
        self._text = text
        self.streamed = streamed
        self._reader: AnswerReader | None = None
        self._ended = False

    def headed(self, answer: "Answer") -> None:
        """The head of the answer is there."""
        self.span.add_event(name.HEADERS_EVENT)
        self.span.set_attribute(name.HTTP_STATUS, answer.status)
        self._reader = AnswerReader(answer.headers, self._text)
        self.streamed = self.streamed and answer.status < 400
        if answer.status >= 400:
            fail(self.span, str(answer.status))

    def feed(self, chunk: bytes) -> None:
        """A piece of the answer."""
        assert self._reader is not None
        self._reader.feed(chunk)

    def event(self, event: str) -> None:
        """Something has happened to a stream."""
        if self.streamed:
            self.span.add_event(event)

    def end(self, error: BaseException | None = None) -> None:
        """The answer is complete, or will never be: then `error` says why."""
        if self._ended:
            return
        self._ended = True
        if isinstance(error, UpstreamError):
            fail(self.span, error.reason)
        elif isinstance(error, CancelledError):
            self.span.add_event(name.CANCELLED_EVENT)
        elif error is not None:
            fail(self.span, type(error).__name__)
        else:
            self.event(name.END_EVENT)
        self._describe()
        self.span.end()

    def _describe(self) -> None:
        reader = self._reader
        if reader is None:
            return
        reader.end()
        if reader.model is not None:
            self.span.set_attribute(name.RESPONSE_MODEL, reader.model[:256])
        if reader.finish_reasons:
            self.span.set_attribute(name.FINISH_REASONS, reader.finish_reasons)
        if self._text is not None:
            self.span.set_attribute(name.OUTPUT_MESSAGES, self._text.messages(reader.finish_reasons))
        if reader.usage is not None:
            self.span.set_attribute(name.INPUT_TOKENS, reader.usage.input)
            self.span.set_attribute(name.OUTPUT_TOKENS, reader.usage.output)


class TracedAnswer:
    """An `Answer` that is looked at on its way."""

    def __init__(self, answer: "Answer", call: Call) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._call = call
        self._begun = False
        call.headed(answer)

    @property
    def ended(self) -> bool:
        """Whether all bytes have been read and the end is known."""
        return self._answer.ended

    async def read(self) -> bytes:
        """The bytes that have arrived since the last call; b"" at the end."""
        try:
            chunk = await self._answer.read()
        except BaseException as error:
            self._call.end(error)
            raise
        if chunk:
            if not self._begun:
                self._begun = True
                self._call.event(name.FIRST_TOKEN_EVENT)
            self._call.feed(chunk)
        if not chunk or self._answer.ended:
            self._call.end()
        return chunk

    def close(self) -> None:
        """Let go; of an answer that has not ended the client has had enough."""
        self._answer.close()
        self._call.end(CancelledError())
