"""Each example runs as it stands, in front of simulated engines on real sockets."""

import asyncio
import json
import math
import os
import re
import runpy
import signal
import sys
import time
from contextlib import AsyncExitStack, ExitStack, aclosing
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner
from prometheus_client import REGISTRY

from aibrix_mw.app import create_app
from aibrix_mw.cli import main
from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.limiting.store import open_limiter
from aibrix_mw.settings import from_dict
from tests.serving import listening
from tests.support import until

EXAMPLES = Path(__file__).parents[1] / "examples"
CHAT = "/v1/chat/completions"
HELLO = {"model": "my-model", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


@pytest.fixture
async def engines():
    """URLs of two engines that take no time."""
    fast = {"prefill_tokens_per_second": math.inf, "decode_tokens_per_second": math.inf}
    async with AsyncExitStack() as stack:
        made = [EngineOptions(models=("my-model", "my-embedder"), name=name, **fast) for name in ("one", "two")]
        yield [await stack.enter_async_context(listening(create_engine(options))) for options in made]


@pytest.fixture
def example(monkeypatch):
    """Run a file as `python examples/NAME` does, up to its call of uvicorn; gives its names, `served` among them."""

    def run(name):
        served = []
        monkeypatch.setattr(uvicorn, "run", lambda app, **_: served.append(app))
        names = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return names | {"served": served[0]}

    return run


def moved(gateway, models, engines):
    """Put the engines of the test in the place of those that the example names."""
    gateway.reload(from_dict({"models": {"my-model": {**models["my-model"], "endpoints": engines}}}))


async def test_metrics_in_fastapi(example):
    names = example("metrics_in_fastapi.py")
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(names["served"]), base_url="http://test") as http:
            body = {"model": "llama", "messages": [{"role": "user", "content": "hello"}]}
            assert (await http.post(CHAT, json=body)).status_code == 200
            assert (await http.post(CHAT, json=body | {"model": "nobody's"})).status_code == 404
            text = (await http.get("/metrics/")).text
    finally:
        REGISTRY.unregister(names["metrics"])
    counted = 'aibrix_gateway_requests_total{code="%s",model="%s",outcome="%s",profile=""} 1.0'
    assert counted % ("200", "llama", "ok") in text
    assert counted % ("404", "_unknown", "unknown_model") in text
    assert 'aibrix_gateway_tokens_total{kind="output",model="llama"} 1.0' in text
    assert 'aibrix_gateway_request_duration_seconds_count{model="llama"} 1.0' in text
    assert "python_info" in text


async def test_gateway_in_a_starlette_application(example, engines):
    names = example("gateway.py")
    moved(names["gateway"], {"my-model": {"aliases": ["gpt-4o"]}}, engines)
    async with listening(names["served"]) as url, httpx.AsyncClient(base_url=url) as http:
        assert "/llm/v1/chat/completions" in (await http.get("/")).text
        answer = await http.post(f"/llm{CHAT}", json=HELLO | {"model": "gpt-4o", "stream": True})
        assert answer.status_code == 200
        assert answer.text.endswith("data: [DONE]\n\n")
        assert f"http://{answer.headers['target-pod']}" in engines
        listed = (await http.get("/llm/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["gpt-4o", "my-model"]
        status = (await http.get("/llm-admin/status.json")).json()
        assert status["models"]["my-model"]["ready_pods"] == 2
        assert 'aibrix_gateway_requests_total{code="200"' in (await http.get("/llm-admin/metrics")).text


async def test_gateway_before_its_lifespan_refuses(example):
    transport = httpx.ASGITransport(example("gateway.py")["served"])
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        assert (await http.post(f"/llm{CHAT}", json=HELLO)).status_code == 503


async def test_middlewares_in_a_fastapi_application(example):
    served = example("one_middleware_in_fastapi.py")["served"]
    async with listening(served) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(CHAT, json=HELLO | {"model": "gpt-4o"}, headers={"x-request-id": "mine"})
        told = answer.json()
        assert (told["asked_for"], told["served_by"], told["messages"]) == ("gpt-4o", "llama", 1)
        assert answer.headers["x-request-id"] == "mine"
        unknown = await http.post(CHAT, json=HELLO)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        assert unknown.headers["x-request-id"]
        assert (await http.post(CHAT, content=b"{")).status_code == 400
        assert (await http.get("/hello")).status_code == 200


async def test_a_rate_limit_in_a_fastapi_application(example, valkey_url, monkeypatch):
    monkeypatch.setenv("STORE_URL", valkey_url)
    names = example("rate_limit_in_fastapi.py")
    tenant = {"x-tenant": f"tenant-{time.time()}"}  # its minute begins with the test
    limiter = open_limiter(valkey_url, timeout=5.0)  # a busy machine must not look like a store that is away
    names["app"].user_middleware[0].kwargs["limiter"] = limiter
    async with aclosing(limiter), listening(names["served"]) as url, httpx.AsyncClient(base_url=url) as http:
        await until(lambda: time.time() % 60 < 57)
        answers = [await http.post(CHAT, json=HELLO, headers=tenant) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["x-ratelimit-remaining-requests"] == str(names["LIMIT"] - 1)
        assert {(await http.post(CHAT, json=HELLO)).status_code for _ in range(5)} == {200}


async def test_own_strategy_fills_one_pod_after_the_other(example, engines):
    names = example("own_strategy.py")
    gateway = names["served"]
    moved(gateway, names["SETTINGS"]["models"], engines)
    first, second = sorted(gateway.registry.serving("my-model"), key=lambda pod: pod.info.name)
    async with listening(gateway) as url, httpx.AsyncClient(base_url=url) as http:

        async def pods(strategy, **headers):
            answers = [await http.post(CHAT, json=HELLO, headers=headers) for _ in range(4)]
            assert {(answer.status_code, answer.headers["routing-strategy"]) for answer in answers} == {(200, strategy)}
            return {answer.headers["target-pod"] for answer in answers}

        even = {"config-profile": "even"}
        assert await pods("fill-first") == {first.info.name}
        with ExitStack() as leases:
            for _ in range(4):
                leases.enter_context(first.lease())
            assert await pods("fill-first") == {second.info.name}
            # the other profile says nothing of depth, and 8 is the strategy's own
            assert await pods("fill-first", **even, **{"routing-strategy": "fill-first"}) == {first.info.name}
            for _ in range(4 + 1):
                leases.enter_context(second.lease())
            assert await pods("fill-first") == {first.info.name}
        with first.lease():
            assert await pods("least-request", **even) == {second.info.name}


async def test_pods_file(engines, tmp_path):
    text = (EXAMPLES / "pods.yaml").read_text()
    for port, url in zip(("9001", "9002"), engines, strict=True):
        text = text.replace(f'model.aibrix.ai/port: "{port}"', f'model.aibrix.ai/port: "{httpx.URL(url).port}"')
    (tmp_path / "pods.yaml").write_text(text)
    gateway = create_app({"discovery": {"static": {"file": str(tmp_path / "pods.yaml")}}})
    async with listening(gateway) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(CHAT, json=HELLO, headers={"config-profile": "batch"})
        assert answer.status_code == 200
        assert answer.headers["target-pod"] in {"my-model-0", "my-model-1"}
        assert answer.headers["x-aibrix-config-profile"] == "batch"
        assert answer.headers["routing-strategy"] == "random"


@pytest.mark.parametrize("name", ["pods.yaml", "settings.yaml"])
def test_files_are_valid(name):
    result = CliRunner().invoke(main, ["validate", str(EXAMPLES / name)])
    assert result.exit_code == 0, result.output
    assert "valid" in result.output


async def test_settings_file_served_as_a_process(engines):
    models = {"my-model": {"endpoints": engines}, "my-embedder": {"endpoints": engines[:1]}}
    env = os.environ | {"AIBRIX_MW_MODELS": json.dumps(models), "AIBRIX_MW_SHUTDOWN__DELAY": "0"}
    settings = str(EXAMPLES / "settings.yaml")
    ports = ("--host", "127.0.0.1", "--port", "0", "--admin-port", "0")
    command = (sys.executable, "-m", "aibrix_mw", "serve", "--settings", settings, *ports)
    process = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        told = b""
        while not (ready := re.search(rb"serving on port (\d+), admin on \S+ port (\d+)", told)):
            line = await asyncio.wait_for(process.stderr.readline(), 20)
            assert line, told
            told += line
        client, admin = (f"http://127.0.0.1:{int(port)}" for port in ready.groups())
        async with httpx.AsyncClient() as http:
            await use_the_settings(http, client)
            assert (await http.get(f"{admin}/status.json")).json()["faults"] == []
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def use_the_settings(http, url):
    for profile, strategy in (("interactive", "least-request"), ("batch", "power-of-two")):
        answer = await http.post(url + CHAT, json=HELLO | {"model": "gpt-4o"}, headers={"config-profile": profile})
        assert answer.status_code == 200
        assert answer.headers["x-aibrix-config-profile"] == profile
        assert answer.headers["routing-strategy"] == strategy
    made = await http.post(f"{url}/v1/embeddings", json={"model": "my-embedder", "input": "hello"})
    assert made.status_code == 200
    assert made.headers["x-aibrix-config-profile"] == "default"
