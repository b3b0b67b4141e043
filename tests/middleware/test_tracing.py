"""TracingMiddleware: what is recorded, whose child it is, and what an engine hears of it (F68)."""

from random import Random

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from aibrix_mw.middleware.tracing import TracingMiddleware
from aibrix_mw.trace import parse_traceparent
from tests.middleware.tracing_support import Memory
from tests.support import Running

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
