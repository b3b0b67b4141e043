"""Limits through served processes: shared over a store, and each its own without one."""

import asyncio
import json
import signal

import httpx

from tests.e2e.support import CHAT, chat, eventually

# of two pods this makes one request in 3600 s, a window that does not end while a test runs
TRICKLE = {"my-model": {"config": {"profiles": {"default": {"requestsPerSecondPerReplica": 0.0001}}}}}
MODELS = json.dumps(TRICKLE)
PATIENT = {"AIBRIX_MW_MODELS": MODELS, "AIBRIX_MW_STORE__TIMEOUT": "5"}


async def asked(gateways, times=4):
    async with httpx.AsyncClient(timeout=20) as http:
        urls = [gateway.url + CHAT for gateway in gateways] * times
        return await asyncio.gather(*(http.post(url, json=chat()) for url in urls))


async def test_two_gateways_share_a_limit(serve, server):
    gateways = [serve("--redis-url", server.connection_url, **PATIENT) for _ in range(2)]
    answers = await asked(gateways)
    assert sorted(answer.status_code for answer in answers) == [200] + [429] * 7
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["message"] == "model: my-model has exceeded RPS: 0.0002"
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert not any("limits are counted in this process" in line for gateway in gateways for line in gateway.messages)


async def test_without_a_store_each_counts_for_itself(serve):
    gateways = [serve(AIBRIX_MW_MODELS=MODELS) for _ in range(2)]
    answers = await asked(gateways)
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 6
    for gateway in gateways:
        assert "limits are counted in this process, replicas do not share them: no store.url" in gateway.messages


async def test_readiness_under_refuse(serve, servers):
    """A gateway that may not count is not ready, and is again when the store is back."""
    server = servers()
    port = server.port
    policy = {"AIBRIX_MW_RATE_LIMIT__ON_STORE_ERROR": "refuse"}
    server.stop()
    gateway = serve("--redis-url", f"redis://127.0.0.1:{port}", AIBRIX_MW_MODELS=MODELS, **policy)
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["status"].startswith("the store is away: ConnectionError")
        assert (await http.post(CHAT, json=chat())).status_code == 503
        servers(port)

        async def is_ready():
            return (await http.get("/readyz")).status_code == 200

        await eventually(is_ready, "ready")
        assert (await http.post(CHAT, json=chat())).status_code == 200
    gateway.signal(signal.SIGTERM)
    assert gateway.ended() == 0
    assert "the store is back" in gateway.messages
