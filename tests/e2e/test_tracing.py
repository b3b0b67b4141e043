"""`aibrix-mw serve` with the standard variables: traces reach a collector, through to the engine, until the end."""

import asyncio
import hashlib
import signal
import subprocess
import sys

import httpx
import pytest

from tests.e2e.support import CHAT, chat
from tests.otlp import receiving, tree

CANARY = "canary-of-the-prompt"
KEY = "sk-canary-of-the-key"


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def traced(receiver, serve):
    """A gateway that exports every trace, in large batches: only its end is quick."""

    def traced(*arguments, **variables):
        return serve(
            *arguments,
            **{
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_BSP_SCHEDULE_DELAY": "60000",
                "AIBRIX_MW_TRACING__SAMPLE_RATIO": "1",
                **variables,
            },
        )

    return traced


async def last_headers(engines, request_id):
    async with httpx.AsyncClient() as http:
        states = [(await http.get(f"{engine.url}/sim/state")).json() for engine in engines]
    seen = [dict(request["headers"]) for state in states for request in state["last_requests"]]
    (headers,) = [headers for headers in seen if headers["x-request-id"] == request_id]
    return headers


async def test_one_trace_across_gateway_and_engine_sent_at_the_end(traced, receiver, engines):
    gateway = traced(OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test", OTEL_EXPORTER_OTLP_HEADERS="x-team=ml")
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        assert (await http.post(CHAT, json=chat(stream=True), headers={"x-request-id": "across"})).status_code == 200
    assert not receiver.spans
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.ended) == 0
    assert tree(receiver.spans) == [
        f"SERVER POST {CHAT}",
        ["INTERNAL aibrix_mw.route"],
        ["CLIENT chat my-model"],
    ]
    (call,) = [span for span in receiver.spans if span.kind == "CLIENT"]
    assert (await last_headers(engines, "across"))["traceparent"] == f"00-{call.trace}-{call.id}-01"
    assert call.events == ["upstream.headers", "first_token", "stream_end"]
    assert call.resource.items() >= {"service.name": "aibrix-mw", "deployment.environment": "test"}.items()
    assert receiver.headers[0]["x-team"] == "ml"


async def test_exemplars_name_the_trace(traced):
    gateway = traced()
    async with httpx.AsyncClient() as http:
        await http.post(gateway.url + CHAT, json=chat(stream=True))
        openmetrics = {"accept": "application/openmetrics-text; version=1.0.0"}
        text = (await http.get(f"{gateway.admin_url}/metrics", headers=openmetrics)).text
        plain = (await http.get(f"{gateway.admin_url}/metrics")).text
    marked = [line.partition("{")[0] for line in text.splitlines() if '# {trace_id="' in line]
    assert marked == [
        "aibrix_gateway_request_duration_seconds_bucket",
        "aibrix_gateway_time_to_first_token_seconds_bucket",
    ]
    assert "trace_id" not in plain


async def test_f69_f70_neither_prompt_nor_key_leaves(traced, receiver, tmp_path):
    keys = tmp_path / "keys.yaml"
    key = "sk-canary-of-a-key-that-is-known"
    keys.write_text(f"- {{name: k, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}")
    gateway = traced(AIBRIX_MW_AUTH__KEYS_FILE=str(keys), AIBRIX_MW_LOG__LEVEL="debug", AIBRIX_MW_LOG__ACCESS="all")
    message = [{"role": "user", "content": CANARY}]
    bodies = [chat(messages=message), chat(messages=message, stream=True), chat(messages=message, max_tokens=0)]
    bodies += [{"model": f"{CANARY}-model", "messages": message}]
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": f"{KEY}"}, {"x-api-key": key}):
            for body in bodies:
                await http.post(f"{CHAT}?key={KEY}", json=body, headers=headers)
            await http.post(CHAT, content=f"{CANARY} is not JSON", headers=headers)
        metrics = (await http.get(f"{gateway.admin_url}/metrics")).text
        status = (await http.get(f"{gateway.admin_url}/status.json")).text
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.ended) == 0
    assert len([span for span in receiver.spans if span.kind == "SERVER"]) == 15
    for seen in (gateway.output, metrics, status, str(receiver.spans)):
        for canary in (f"{CANARY} ", f'{CANARY}"', KEY, key):
            assert canary not in seen
    assert CANARY not in str(receiver.spans) + metrics + status


async def test_without_an_exporter_nothing_of_opentelemetry_is_loaded(serve):
    script = """
import sys
from aibrix_mw.cli import main
import aibrix_mw.server.process as process
process.serve_gateway = lambda gateway, ready: None
import aibrix_mw.server
aibrix_mw.server.serve_gateway = process.serve_gateway
main(["serve", "--pod", "m=http://127.0.0.1:1"], standalone_mode=False)
print(sum(name.startswith("opentelemetry") for name in sys.modules))
"""

    def loaded(**variables):
        done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert loaded() == 0
    assert loaded(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") == 0
    assert loaded(OTEL_SDK_DISABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") == 0
    assert loaded(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") > 0


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(traced):
    gateway = traced(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_BSP_MAX_QUEUE_SIZE="4",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4",
    )
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        for _ in range(5):
            assert (await http.post(CHAT, json=chat())).status_code == 200
        text = (await http.get(f"{gateway.admin_url}/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("aibrix_gateway_spans_dropped_total")]
    assert float(line.split()[1]) >= 5
    gateway.signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.ended) == 0
