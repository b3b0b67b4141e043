"""Calls to engines, each with a CLIENT span of its own."""

from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from opentelemetry.trace import Span, SpanKind

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.pod import Pod
from aibrix_mw.request import InferenceRequest
from aibrix_mw.telemetry import conventions as name
from aibrix_mw.telemetry.answer import AnswerReader
from aibrix_mw.telemetry.marks import TRACE_HEADERS, Attributes, fail, trace_headers
from aibrix_mw.telemetry.text import AnswerText, input_messages

if TYPE_CHECKING:  # siblings
    from aibrix_mw.upstream.base import Answer, EngineRequest, Timers, Upstream


Start = Callable[[str, SpanKind, Attributes], Span]
"""Starts a span below the request's: by name, kind and attributes."""


class TracedUpstream:
    """An `Upstream` that records what it is used for; made for one request, an attempt each."""

    def __init__(
        self,
        start: Start,
        upstream: "Upstream",
        request: InferenceRequest,
        pod: Pod,
        number: int,
        role: str | None,
        *,
        capture_text: bool = False,
    ) -> None:
        self._start = start
        self._capture_text = capture_text
        self._upstream = upstream
        self._request = request
        self._pod = pod
        self._number = number
        self._role = role

    async def send(self, request: "EngineRequest", timers: "Timers") -> "Answer":
        """Send the request, with the span as its parent on the engine."""
        span = self._start(
            f"{name.operation(self._request.path)} {self._request.model}", SpanKind.CLIENT, self._attributes(request)
        )
        headers = [header for header in request.headers if header[0] not in TRACE_HEADERS]
        headers += trace_headers(span.get_span_context())
        text = None
        if self._capture_text:
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
