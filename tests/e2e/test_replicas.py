"""Gateways as processes over one store: what they know of each other, and how soon they forget."""

import signal
import time

import httpx

from tests.e2e.support import CHAT, chat, eventually

LONG = chat(stream=True, max_tokens=5000, ignore_eos=True)


async def in_flight(admin):
    status = (await admin.get("/status.json")).json()
    return sum(pod["in_flight"] for model in status["models"].values() for pod in model["pods"])


async def test_requests_of_a_gateway_that_was_killed_are_forgotten_within_two_seconds(serve, server):
    doomed, other = (serve(AIBRIX_MW_STORE__URL=server.connection_url) for _ in range(2))
    async with httpx.AsyncClient(base_url=doomed.url, timeout=20) as client, httpx.AsyncClient() as http:
        admin = httpx.AsyncClient(base_url=other.admin_url)
        async with client.stream("POST", CHAT, json=LONG), admin:

            async def sees_one():
                return await in_flight(admin) == 1

            async def sees_none():
                return await in_flight(admin) == 0

            await eventually(sees_one, "the other gateway hears of the request")
            doomed.signal(signal.SIGKILL)
            killed = time.monotonic()
            doomed.ended()
            await eventually(sees_none, "the request of the killed gateway is forgotten")
            assert time.monotonic() - killed < 2
        assert (await http.post(other.url + CHAT, json=chat())).status_code == 200
