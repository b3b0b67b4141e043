"""The last traces, as the status page shows them."""

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from aibrix_mw.telemetry.recent import RecentTraces

SECOND = 1_000_000_000


@pytest.fixture
def recent():
    return RecentTraces(kept=3)


@pytest.fixture
def tracer(recent):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(recent)
    return provider.get_tracer("test")


def request(tracer, number, *, failed=False):
    """One request at second `number`, with a call that lasts from 1 to 3 s after its start."""
    begun = number * SECOND
    server = tracer.start_span("POST /x", None, SpanKind.SERVER, start_time=begun, attributes={"n": number})
    call = tracer.start_span("chat m", set_span_in_context(server), SpanKind.CLIENT, start_time=begun + SECOND)
    call.add_event("first_token", timestamp=begun + 2 * SECOND)
    call.end(begun + 3 * SECOND)
    if failed:
        server.set_status(Status(StatusCode.ERROR))
    server.end(begun + 4 * SECOND)


def test_a_trace_is_there_when_the_request_has_ended(recent, tracer):
    request(tracer, 10)
    (trace,) = recent.traces()
    assert (trace.time, trace.seconds, trace.error) == (10.0, 4.0, False)
    server, call = trace.spans
    assert (server.name, server.kind, server.offset, server.seconds) == ("POST /x", "server", 0.0, 4.0)
    assert server.attributes == {"n": 10}
    assert (call.parent, call.offset, call.seconds) == (server.id, 1.0, 2.0)
    assert call.events == [("first_token", 2.0)]
    assert len(trace.id) == 32
    assert msgspec.json.decode(msgspec.json.encode(trace))["spans"][1]["name"] == "chat m"


def test_only_the_last_are_kept_newest_first(recent, tracer):
    for number in range(1, 6):
        request(tracer, number, failed=number == 5)
    assert [trace.time for trace in recent.traces()] == [5.0, 4.0, 3.0]
    assert [trace.error for trace in recent.traces()] == [True, False, False]


def test_spans_of_requests_that_never_end_do_not_add_up(recent, tracer, monkeypatch):
    monkeypatch.setattr("aibrix_mw.telemetry.recent._UNFINISHED", 5)
    for _ in range(20):
        tracer.start_span("lost", kind=SpanKind.CLIENT).end()
    assert len(recent._open) == 5
    assert recent.traces() == []
