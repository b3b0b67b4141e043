"""The last traces, kept in memory for the status page."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

KEPT = 50
_UNFINISHED = 4096


class RecentSpan(msgspec.Struct, frozen=True):
    """One span: `offset` and `seconds` from the start of its trace; events by name and offset."""

    id: str
    parent: str | None
    name: str
    kind: str
    offset: float
    seconds: float
    error: bool
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, float]]


class RecentTrace(msgspec.Struct, frozen=True):
    """One request: `time` is its start in seconds since the epoch; spans in order of their start."""

    id: str
    time: float
    seconds: float
    error: bool
    spans: Sequence[RecentSpan]


class RecentTraces(SpanProcessor):
    """Keeps the last `kept` requests; to be asked in the thread that the requests run in."""

    def __init__(self, kept: int = KEPT) -> None:
        self._traces: deque[list[ReadableSpan]] = deque(maxlen=kept)
        self._open: dict[int, list[ReadableSpan]] = {}

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span; with the server's its request is complete."""
        context = span.get_span_context()
        if context is None:
            return
        spans = self._open.setdefault(context.trace_id, [])
        spans.append(span)
        if span.kind is SpanKind.SERVER:
            self._traces.append(self._open.pop(context.trace_id))
        elif len(self._open) > _UNFINISHED:
            del self._open[next(iter(self._open))]

    def traces(self) -> list[RecentTrace]:
        """The last requests, newest first."""
        return [_trace(spans) for spans in reversed(self._traces)]


def _trace(spans: list[ReadableSpan]) -> RecentTrace:
    server = spans[-1]
    begun = server.start_time or 0
    ordered = sorted(spans, key=lambda span: (span.start_time or 0, span is not server))
    context = server.get_span_context()
    assert context is not None
    return RecentTrace(
        id=format_trace_id(context.trace_id),
        time=begun / 1e9,
        seconds=((server.end_time or begun) - begun) / 1e9,
        error=not server.status.is_ok,
        spans=[_span(span, begun) for span in ordered],
    )


def _span(span: ReadableSpan, begun: int) -> RecentSpan:
    context, start = span.get_span_context(), span.start_time or begun
    assert context is not None
    return RecentSpan(
        id=format_span_id(context.span_id),
        parent=format_span_id(span.parent.span_id) if span.parent is not None else None,
        name=span.name,
        kind=span.kind.name.lower(),
        offset=(start - begun) / 1e9,
        seconds=((span.end_time or time.time_ns()) - start) / 1e9,
        error=not span.status.is_ok,
        attributes=dict(span.attributes or {}),
        events=[(event.name, (event.timestamp - begun) / 1e9) for event in span.events],
    )
