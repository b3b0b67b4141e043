"""Where traces go: set up for a served process by the standard OTEL_* variables.

A library's host sets up its provider itself.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from secrets import token_hex

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from aibrix_mw import __version__
from aibrix_mw.telemetry.recent import RecentTraces

logger = logging.getLogger("aibrix_mw")

FLUSH_SECONDS = 5.0
_QUEUE = 2048  # the standard's default for OTEL_BSP_MAX_QUEUE_SIZE


class Counted(SpanExporter):
    """An exporter that counts: spans it was done with, and those of them that were not taken."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter
        self.done = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; called by one thread at a time."""
        result = SpanExportResult.FAILURE
        try:
            result = self.exporter.export(spans)
        finally:
            self.done += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Close connections."""
        self.exporter.shutdown()


class Batches(BatchSpanProcessor):
    """The SDK's batches, with a queue that says how many spans it had no room for; the SDK's own drops in silence."""

    def __init__(self, exporter: Counted, room: int) -> None:
        super().__init__(exporter, max_queue_size=room)
        self._counted = exporter
        self._room = room
        self._taken = 0
        self._refused = 0

    @property
    def dropped(self) -> int:
        """Spans that were not exported, and will not be."""
        return self._refused + self._counted.failed

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, unless those that wait fill the queue."""
        if self._taken - self._counted.done >= self._room:
            self._refused += 1
            return
        self._taken += 1
        super().on_end(span)


class Tracing:
    """A provider of traces: kept in memory, and sent where the variables say, unless that is nowhere.

    `sample_ratio` is the one of the settings, None where OTEL_TRACES_SAMPLER decides.
    """

    def __init__(
        self, ratio: float, exporter: SpanExporter | None, environment: Mapping[str, str] = os.environ
    ) -> None:
        sampler = environment.get("OTEL_TRACES_SAMPLER")
        self.sample_ratio = None if sampler else ratio
        self.provider = TracerProvider(None if sampler else ALWAYS_ON, _resource(environment), shutdown_on_exit=False)
        self.recent = RecentTraces()
        self.provider.add_span_processor(self.recent)
        self._batches: Batches | None = None
        if exporter is not None:
            room = int(environment.get("OTEL_BSP_MAX_QUEUE_SIZE") or _QUEUE)
            self._batches = Batches(Counted(exporter), room)
            self.provider.add_span_processor(self._batches)

    @property
    def dropped(self) -> int:
        """Spans that could not be exported."""
        return self._batches.dropped if self._batches is not None else 0

    def close(self, patience: float = FLUSH_SECONDS) -> None:
        """Send what is left; where that takes longer than `patience` seconds, leave it."""
        ending = threading.Thread(target=self.provider.shutdown, name="traces-shutdown", daemon=True)
        ending.start()
        ending.join(patience)
        if ending.is_alive():
            logger.warning("the last spans could not be sent within %g s", patience)


def otlp_exporter() -> SpanExporter:
    """The exporter by OTLP/HTTP, as its own variables say."""
    return OTLPSpanExporter()


def _resource(environment: Mapping[str, str]) -> Resource:
    own = {"service.version": __version__, "service.instance.id": token_hex(8)}
    given = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environment.get("OTEL_SERVICE_NAME") and "service.name=" not in given:
        own["service.name"] = "aibrix-mw"
    return Resource.create(own)
