"""Limits in the whole gateway over a store: what replicas share, and what happens while it is away."""

import asyncio

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError
from tests.parts.limited import limited
from tests.support import ask


async def test_over_a_store(valkey_url):
    async with limited(limit=10, store={"url": valkey_url, "timeout": 5}) as gateway:
        limiter = gateway.gateway.counting.limiter
        await limiter.windows.client.flushall()
        replies = await asyncio.gather(*(gateway.ask() for _ in range(30)))
        assert sum(reply.status == 200 for reply in replies) in {10, 20}  # 20 across a second
        assert await gateway.counted("aibrix_gateway_store_shared") == {(): 1}
        assert (await gateway.counted("aibrix_gateway_store_duration_seconds_count"))[()] >= 1
        assert await gateway.counted("aibrix_gateway_rps_limit", "model", "profile") == {("m", "default"): 10}


async def test_without_a_store_it_is_said(log):
    async with limited() as gateway:
        assert await gateway.counted("aibrix_gateway_store_shared") == {(): 0}
        assert await gateway.counted("aibrix_gateway_store_local") == {(): 0}
    assert "limits are counted in this process, replicas do not share them: no store.url" in log()


async def test_per_replica_on_purpose(valkey_url, log):
    async with limited(store={"url": valkey_url}, rate_limit={"per_replica": True}) as gateway:
        assert (await gateway.ask()).header("x-ratelimit-remaining-requests") == b"9"
        assert gateway.gateway.counting.windows is not None
    assert "limits are counted in this process, replicas do not share them: rate_limit.per_replica" in log()


DEAD = "redis://127.0.0.1:1"


@pytest.mark.parametrize(("policy", "status", "ready"), [("local", 200, 200), ("open", 200, 200), ("refuse", 503, 503)])
async def test_start_with_a_dead_store(policy, status, ready):
    async with limited(store={"url": DEAD}, rate_limit={"on_store_error": policy}) as gateway:
        reply = await gateway.ask()
        assert reply.status == status
        readiness = await ask(gateway.gateway, b"", "/readyz", method="GET")
        assert readiness.status == ready
        if policy == "refuse":
            assert reply.header("x-error-incr-model-rps") == b"true"
            assert readiness.json()["status"].startswith("the store is away: ConnectionError")
            assert (await gateway.outcomes())["m", "default", "503", "store_refused"] == 1
        assert await gateway.counted("aibrix_gateway_store_local") == {(): 1}
        assert await gateway.counted("aibrix_gateway_store_errors_total") == {(): 1}


async def test_a_password_file_that_is_not_there(tmp_path):
    gateway = create_app({"store": {"url": DEAD, "password_file": str(tmp_path / "password")}})
    with pytest.raises(ConfigurationError, match=r"store\.password_file"):
        async with gateway.running():
            pass


async def test_a_url_that_no_client_understands():
    with pytest.raises(ConfigurationError, match=r"store\.url: .*service_name"):
        create_app({"store": {"url": "redis+sentinel://h:1"}})
