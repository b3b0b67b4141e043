"""TracingMiddleware in somebody's application, which may trace by itself."""

from fastapi import FastAPI
from opentelemetry import trace as otel
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from starlette.testclient import TestClient

from aibrix_mw.middleware.tracing import TracingMiddleware
from aibrix_mw.trace import parse_traceparent
from tests.middleware.tracing_support import Memory
from tests.support import BODY, CHAT, Running, ask


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
