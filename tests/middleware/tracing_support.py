"""A gateway that is traced, every request of it, into a real receiver."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.middleware import Middleware

from aibrix_mw.middleware.tracing import TracingMiddleware
from aibrix_mw.telemetry.otel import Tracing
from tests.otlp import Receiver, Seen, receiving, tree

SERVER = "SERVER POST /v1/chat/completions"
ROUTE = ["INTERNAL aibrix_mw.route"]
CALL = ["CLIENT chat m"]
FAILED = ["CLIENT chat m !"]
ANSWERED = [SERVER, ROUTE, CALL]


class Traced:
    """Tracing at ratio 1, and what has arrived of it."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.tracing = Tracing(1.0, OTLPSpanExporter(f"{receiver.url}/v1/traces"), {})

    def layer(self, **options: Any) -> Middleware:
        return Middleware(
            TracingMiddleware, **{"tracer_provider": self.tracing.provider, "sample_ratio": 1.0, **options}
        )

    def spans(self) -> list[Seen]:
        """All spans so far, by start."""
        assert self.tracing.provider.force_flush()
        return sorted(self.receiver.spans, key=lambda span: span.start)

    def tree(self) -> list[Any]:
        """The only trace."""
        return tree(self.spans())

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans() if span.name == name]

    @property
    def server(self) -> Seen:
        (span,) = [span for span in self.spans() if span.kind == "SERVER"]
        return span

    @property
    def calls(self) -> list[Seen]:
        return [span for span in self.spans() if span.kind == "CLIENT"]


@contextmanager
def tracing() -> Iterator[Traced]:
    with receiving() as receiver:
        traced = Traced(receiver)
        try:
            yield traced
        finally:
            traced.tracing.close()


class Memory:
    """A provider that keeps spans."""

    def __init__(self, sampler=None):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def of(self, kind):
        (span,) = [span for span in self.spans if span.kind is kind]
        return span

    def layer(self, **options):
        return Middleware(TracingMiddleware, tracer_provider=self.provider, **options)
