"""Spans that cannot be exported are counted, and never wait."""

from threading import Event

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aibrix_mw.telemetry.otel import Tracing
from tests.otlp import receiving


class Gate(SpanExporter):
    """An exporter that a test holds up, or makes fail."""

    def __init__(self, result: SpanExportResult | Exception = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.batches: list[int] = []
        self.entered = Event()
        self.open = Event()
        self.open.set()

    def export(self, spans):
        self.entered.set()
        self.open.wait(10)
        self.batches.append(len(spans))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self):
        pass


def make_spans(tracing, count):
    tracer = tracing.provider.get_tracer("test")
    for _ in range(count):
        tracer.start_span("one").end()


def test_what_is_exported_is_not_dropped():
    gate = Gate()
    tracing = Tracing(1.0, gate, {})
    make_spans(tracing, 20)
    tracing.close()
    assert (sum(gate.batches), tracing.dropped) == (20, 0)


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, RuntimeError("no collector")])
def test_a_batch_that_is_not_taken_is_dropped(result):
    tracing = Tracing(1.0, Gate(result), {})
    make_spans(tracing, 3)
    tracing.close()
    assert tracing.dropped == 3


def test_what_the_queue_has_no_room_for_is_dropped(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    gate = Gate()
    gate.open.clear()
    tracing = Tracing(1.0, gate, {"OTEL_BSP_MAX_QUEUE_SIZE": "4"})
    make_spans(tracing, 2)
    assert gate.entered.wait(10)
    make_spans(tracing, 10)
    assert tracing.dropped == 8  # two are being sent, two wait
    gate.open.set()
    tracing.close()
    assert (sum(gate.batches), tracing.dropped) == (4, 8)


def test_the_end_does_not_wait_for_a_collector_that_hangs(caplog):
    gate = Gate()
    gate.open.clear()
    tracing = Tracing(1.0, gate, {})
    make_spans(tracing, 1)
    tracing.close(patience=0.01)
    assert "could not be sent within 0.01 s" in caplog.text
    gate.open.set()


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "aibrix-mw"),
        ({"OTEL_SERVICE_NAME": "edge"}, "edge"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=edge,a=b"}, "edge"),
    ],
)
def test_the_service_has_a_name(variables, name, monkeypatch):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    tracing = Tracing(1.0, None, variables)
    attributes = tracing.provider.resource.attributes
    assert attributes["service.name"] == name
    assert {"service.version", "service.instance.id"} <= attributes.keys()
    tracing.close()


def test_a_collector_that_refuses(monkeypatch):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    with receiving() as receiver:
        receiver.status = 400
        tracing = Tracing(1.0, OTLPSpanExporter(f"{receiver.url}/v1/traces"), {})
        make_spans(tracing, 2)
        tracing.close()
        assert tracing.dropped == 2
