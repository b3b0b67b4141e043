"""TracingMiddleware: what is recorded, whose child it is, and what an engine hears of it (F68)."""

from random import Random

import pytest
from fastapi import FastAPI
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from aibrix_mw.middleware.tracing import TracingMiddleware
from aibrix_mw.trace import parse_traceparent
from tests.support import BODY, CHAT, Running, ask

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{THEIRS}-{PARENT}-01".encode()
UNSAMPLED = f"00-{THEIRS}-{PARENT}-00".encode()
GARBAGE = [
    b"",
    b"nonsense",
    SAMPLED[:-1],
    b"ff" + SAMPLED[2:],
    SAMPLED + b"-more",
    SAMPLED.upper(),
    SAMPLED.replace(THEIRS.encode(), b"0" * 32),
    SAMPLED.replace(PARENT.encode(), b"0" * 16),
    b"00-" + b"x" * 10_000,
    SAMPLED.replace(b"-", b"_"),
]


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


@pytest.fixture
def memory():
    return Memory()


def ids(span):
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


async def forwarded(memory, headers=(), **options):
    """What the engine gets as traceparent, and as tracestate, of one request."""
    async with Running(outer=[memory.layer(**options)]) as running:
        reply = await running.ask(headers=[*headers])
        assert reply.status == 200
        sent = running.upstream.requests[0].headers
    named = {name: [value for key, value in sent if key == name] for name in (b"traceparent", b"tracestate")}
    assert len(named[b"traceparent"]) <= 1
    return (*named[b"traceparent"], None)[0], named[b"tracestate"]


# --- sampling


async def test_what_is_not_sampled_tells_the_engine_so_and_makes_no_span(memory):
    header, _ = await forwarded(memory, sample_ratio=0.0, rng=Random(7))
    parent = parse_traceparent(header)
    assert not parent.sampled
    assert not memory.spans


async def test_the_ratio_is_the_share_that_is_recorded(memory):
    async with Running(outer=[memory.layer(sample_ratio=0.25, rng=Random(7))]) as running:
        for _ in range(400):
            await running.ask()
        sent = [dict(request.headers)[b"traceparent"] for request in running.upstream.requests]
    recorded = [span for span in memory.spans if span.kind is SpanKind.SERVER]
    assert 80 <= len(recorded) <= 120
    assert sum(parse_traceparent(header).sampled for header in sent) == len(recorded)
    assert len({header[3:35] for header in sent}) == 400


async def test_without_a_ratio_the_provider_decides():
    memory = Memory(ALWAYS_OFF)
    header, _ = await forwarded(memory)
    assert not parse_traceparent(header).sampled
    assert not memory.spans


async def test_without_a_provider_nothing_is_recorded():
    async with Running(outer=[TracingMiddleware]) as running:
        assert (await running.ask()).status == 200


# --- parents


async def test_the_engine_is_told_of_the_span_of_its_call(memory):
    header, _ = await forwarded(memory, sample_ratio=1.0)
    call = memory.of(SpanKind.CLIENT)
    assert header.decode() == "00-{}-{}-01".format(*ids(call))
    assert call.parent.span_id == memory.of(SpanKind.SERVER).context.span_id


async def test_a_stranger_s_trace_is_linked_to(memory):
    header, states = await forwarded(memory, [(b"traceparent", SAMPLED), (b"tracestate", b"a=1")], sample_ratio=1.0)
    server = memory.of(SpanKind.SERVER)
    assert server.parent is None
    assert ids(server)[0] != THEIRS
    (link,) = server.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (THEIRS, PARENT)
    assert THEIRS.encode() not in header
    assert states == []


@pytest.mark.parametrize("sample_ratio", [0.0, 1.0])
async def test_a_stranger_does_not_decide_what_is_recorded(memory, sample_ratio):
    header, _ = await forwarded(memory, [(b"traceparent", SAMPLED)], sample_ratio=sample_ratio)
    assert parse_traceparent(header).sampled == bool(sample_ratio)
    assert THEIRS.encode() not in header


async def test_a_trusted_trace_is_continued(memory):
    headers = [(b"traceparent", SAMPLED), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    header, states = await forwarded(memory, headers, sample_ratio=0.0, trust_parent=True)
    server = memory.of(SpanKind.SERVER)
    assert f"{server.parent.span_id:016x}" == PARENT
    assert {ids(span)[0] for span in memory.spans} == {THEIRS}
    assert header.decode() == "00-{}-{}-01".format(*ids(memory.of(SpanKind.CLIENT)))
    assert states == [b"a=1,b=2"]


async def test_a_trusted_trace_that_is_not_recorded_passes(memory):
    headers = [(b"traceparent", UNSAMPLED), (b"tracestate", b"a=1")]
    assert await forwarded(memory, headers, sample_ratio=1.0, trust_parent=True) == (UNSAMPLED, [b"a=1"])
    assert not memory.spans


async def test_a_trusted_trace_counts_for_the_provider_s_sampler_too(memory):
    header, _ = await forwarded(memory, [(b"traceparent", UNSAMPLED)], trust_parent=True)
    assert (header[3:35].decode(), parse_traceparent(header).sampled) == (THEIRS, False)
    assert not memory.spans


@pytest.mark.parametrize("trust_parent", [True, False])
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_f68_garbage_starts_a_new_trace(memory, garbage, trust_parent):
    header, _ = await forwarded(memory, [(b"traceparent", garbage)], sample_ratio=1.0, trust_parent=trust_parent)
    server = memory.of(SpanKind.SERVER)
    assert server.parent is None
    assert not server.links
    assert parse_traceparent(header).trace_id == server.context.trace_id


async def test_two_parents_are_none(memory):
    headers = [(b"traceparent", SAMPLED), (b"traceparent", SAMPLED)]
    await forwarded(memory, headers, sample_ratio=1.0, trust_parent=True)
    assert memory.of(SpanKind.SERVER).parent is None


# --- alone, in somebody's application


def hosted(memory, **options):
    app = FastAPI()
    app.add_middleware(TracingMiddleware, tracer_provider=memory.provider, **options)
    seen = {}

    @app.post(CHAT)
    async def chat():
        seen["current"] = otel.get_current_span().get_span_context().span_id
        return {}

    @app.post("/v1/embeddings")
    async def fail():
        raise RuntimeError("canary")

    @app.get("/other")
    async def other():
        return {}

    return app, seen


def test_alone_it_makes_the_server_s_span(memory):
    app, seen = hosted(memory)
    with TestClient(app) as client:
        assert client.post(CHAT).status_code == 200
        assert client.get("/other").status_code == 200
    (span,) = memory.spans
    assert (span.name, span.kind, span.attributes["http.response.status_code"]) == (
        f"POST {CHAT}",
        SpanKind.SERVER,
        200,
    )
    assert seen["current"] == span.context.span_id


def test_a_crash_is_named_and_not_quoted(memory):
    app, _ = hosted(memory)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/embeddings").status_code == 500
    (span,) = memory.spans
    assert span.attributes["error.type"] == "RuntimeError"
    assert "canary" not in span.to_json()


async def under(memory, kind, attributes_of, **options):
    """A request to a traced gateway, within a span of the host's."""
    tracer = memory.provider.get_tracer("host")
    async with Running(outer=[memory.layer(sample_ratio=0.0, **options)]) as running:
        with tracer.start_as_current_span("host", kind=kind) as host:
            await running.ask()
        attributes_of.update(host.attributes)
        return host, dict(running.upstream.requests[0].headers)[b"traceparent"]


async def test_under_the_host_s_span_it_adds_children(memory):
    attributes = {}
    host, header = await under(memory, SpanKind.SERVER, attributes)
    assert [span.name for span in memory.spans] == ["chat m", "aibrix_mw.route", "host"]
    assert {span.parent and span.parent.span_id for span in memory.spans[:2]} == {host.context.span_id}
    assert attributes["aibrix_mw.outcome"] == "ok"
    assert parse_traceparent(header).span_id == memory.of(SpanKind.CLIENT).context.span_id


async def test_a_host_that_records_nothing_is_obeyed():
    memory = Memory(ALWAYS_OFF)
    tracer = memory.provider.get_tracer("host")
    async with Running(outer=[Memory().layer(sample_ratio=1.0)]) as running:
        with tracer.start_as_current_span("host", kind=SpanKind.SERVER) as host:
            await running.ask()
        header = parse_traceparent(dict(running.upstream.requests[0].headers)[b"traceparent"])
    assert header == (host.get_span_context().trace_id, host.get_span_context().span_id, False)


async def test_a_client_s_span_of_this_process_is_no_server_s(memory):
    tracer = memory.provider.get_tracer("host")
    async with Running(outer=[memory.layer(sample_ratio=1.0)]) as running:
        with tracer.start_as_current_span("a test's client", kind=SpanKind.CLIENT):
            await running.ask()
    assert memory.of(SpanKind.SERVER).parent is None


async def test_other_scopes_and_paths_pass(memory):
    async with Running(outer=[memory.layer(sample_ratio=1.0)]) as running:
        assert (await running.ask(b"", "/v1/models", method="GET")).status == 200
        assert (await running.ask(BODY, "/nothing")).status == 404
        assert (await ask(running.gateway, b"", "/healthz", method="GET")).status == 200
    assert not memory.spans
