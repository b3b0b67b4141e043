"""What all that makes spans does: tell others of one, and say that one has failed."""

from collections.abc import Mapping, Sequence

from opentelemetry.trace import Span, SpanContext, Status, StatusCode

from aibrix_mw.telemetry import conventions as name
from aibrix_mw.trace import format_traceparent

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
