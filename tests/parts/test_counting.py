"""Limits in the whole gateway: what they refuse, what costs nothing, and what the operator sees."""

import asyncio
from collections import Counter

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import UpstreamError
from tests.parts.limited import limited
from tests.support import FakeAnswer, Running, settle

LIMITED = {"profiles": {"default": {"requestsPerSecond": 50}}}


def refusing(_request):
    return UpstreamError("the engine cannot be reached", "connect")


async def used(gateway, key="{m}:profile:default:1"):
    return gateway.gateway.counting.limiter.windows.storage.storage[key]


async def test_the_answer_header_for_header():
    async with limited(limit=50) as gateway:
        replies = [await gateway.ask() for _ in range(51)]
    assert [reply.status for reply in replies] == [200] * 50 + [429]
    reply = replies[-1]
    assert reply.json() == {
        "error": {
            "message": "model: m has exceeded RPS: 50",
            "type": "rate_limit_error",
            "code": "rate_limit_exceeded",
        }
    }
    expected = {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(reply.body),
        b"x-error-model-rps-exceeded": b"true",
        b"retry-after": b"1",
        b"x-ratelimit-limit-requests": b"50",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"750ms",
        b"x-aibrix-config-profile": b"default",
        b"x-request-id": reply.header("x-request-id"),
    }
    assert dict(reply.headers) == expected
    assert len(reply.headers) == len(expected)
    assert replies[0].header("x-ratelimit-remaining-requests") == b"49"


async def test_an_unlimited_model_has_no_such_headers():
    async with Running() as gateway:
        reply = await gateway.ask()
    assert not [name for name, _ in reply.headers if name.startswith(b"x-ratelimit")]


async def test_no_engine_hears_of_a_refused_request():
    async with limited(limit=3) as gateway:
        for _ in range(10):
            await gateway.ask()
        assert len(gateway.upstream.requests) == 3
        assert gateway.in_flight == [0, 0]


async def test_profiles_have_counts_of_their_own():
    """The production guide's example."""
    config = {"profiles": {"default": {"requestsPerSecond": 100}, "batch": {"requestsPerSecond": 20}}}
    async with limited(config=config) as gateway:
        names = [b"default", b"batch"] * 150
        replies = await asyncio.gather(*(gateway.ask(headers=[(b"config-profile", name)]) for name in names))
        assert await gateway.counted("aibrix_gateway_rps_rejections_total", "model", "profile") == {
            ("m", "default"): 50,
            ("m", "batch"): 130,
        }
    assert Counter(r.header("x-aibrix-config-profile") for r in replies if r.status == 200) == {
        b"default": 100,
        b"batch": 20,
    }


async def test_eighty_and_eighty_under_a_hundred():
    profiles = {"default": {"requestsPerSecond": 80}, "batch": {"requestsPerSecond": 80}}
    async with limited(config={"requestsPerSecond": 100, "profiles": profiles}) as gateway:
        names = [b"default", b"batch"] * 100
        replies = await asyncio.gather(*(gateway.ask(headers=[(b"config-profile", name)]) for name in names))
    assert sum(reply.status == 200 for reply in replies) == 100
    assert {r.json()["error"]["message"] for r in replies if r.status == 429} == {"model: m has exceeded RPS: 100"}


async def test_what_no_pod_can_take_costs_nothing():
    async with limited(limit=1) as gateway:
        refused = [
            await gateway.ask(headers=[(b"external-filter", b"zone=z")]),
            await gateway.ask(headers=[(b"external-filter", b"((")]),
            await gateway.ask(headers=[(b"routing-strategy", b"best")]),
            await gateway.ask(b"{}"),
        ]
        assert [reply.status for reply in refused] == [503, 400, 400, 400]
        assert (await gateway.ask()).status == 200


async def test_a_pod_that_refuses_connections_costs_nothing():
    """A thousand one after another at limit 10: none is refused by the limit."""
    async with limited(refusing, limit=10) as gateway:
        for _ in range(1000):
            assert (await gateway.ask()).status == 502
            assert await used(gateway) == 0
        assert await gateway.counted("aibrix_gateway_rps_refunds_total", "model", "profile") == {("m", "default"): 1000}


@pytest.mark.parametrize(
    ("reason", "count"), [("connect", 0), ("reset", 1), ("malformed", 1), ("status_503", 1), ("timeout", 1)]
)
async def test_a_request_whose_bytes_reached_an_engine_has_used_its_hit(reason, count):
    def failing(_request):
        if reason == "status_503":
            return FakeAnswer(b"overloaded", status=503)
        return UpstreamError("no answer", reason)

    async with limited(failing, pods=1) as gateway:
        assert (await gateway.ask()).status >= 502
        assert await used(gateway) == count


async def test_one_of_two_attempts_reached_an_engine():
    errors = [UpstreamError("reset", "reset"), UpstreamError("refused", "connect")]
    async with limited(lambda _request: errors.pop(0)) as gateway:
        assert (await gateway.ask()).status == 502
        assert await used(gateway) == 1


async def test_the_pods_are_gone_when_the_second_attempt_wants_one():
    async with limited(pods=2) as gateway:

        def failing(_request):
            gateway.registry.remove("test", "uid-1")
            gateway.registry.remove("test", "uid-2")
            return UpstreamError("refused", "connect")

        gateway.upstream.script = failing
        assert (await gateway.ask()).status in {502, 503}
        assert await used(gateway) == 0


async def test_per_replica():
    config = {"profiles": {"default": {"requestsPerSecondPerReplica": 2}}}
    async with limited(config=config, pods=3) as gateway:
        assert Counter([(await gateway.ask()).status for _ in range(10)]) == {200: 6, 429: 4}


async def test_one_in_several_seconds():
    config = {"profiles": {"default": {"requestsPerSecondPerReplica": 0.1}}}
    async with limited(config=config, pods=2) as gateway:
        await gateway.ask()
        reply = await gateway.ask()
    assert reply.json()["error"]["message"] == "model: m has exceeded RPS: 0.2"
    assert reply.header("retry-after") == b"5"


async def test_a_limit_of_the_settings_changes_at_once():
    """F65."""
    async with limited(limit=1) as gateway:
        assert [(await gateway.ask()).status for _ in range(2)] == [200, 429]
        for limit, status in ((2, 200), (2, 429), (0, 200), (0, 200)):
            settings = {"models": {"m": {"config": {"profiles": {"default": {"requestsPerSecond": limit}}}}}}
            gateway.gateway.reload(create_app(settings).settings)
            assert (await gateway.ask()).status == status


# --- requests in flight per pod


async def test_every_pod_has_as_many_as_it_may():
    gate = asyncio.Event()
    script = lambda _request: FakeAnswer(gate, b"{}")  # noqa: E731
    async with limited(script, limit=100, profile={"requestsInflight": 2}) as gateway:
        asked = [asyncio.ensure_future(gateway.ask()) for _ in range(4)]
        await settle(20)
        assert gateway.in_flight == [2, 2]
        reply = await gateway.ask()
        assert (reply.status, reply.json()["error"]["code"]) == (429, "replica_inflight_exceeded")
        assert reply.json()["error"]["message"] == "model: m has exceeded in-flight requests per replica: 2"
        assert reply.header("x-error-replica-inflight-exceeded") == b"true"
        assert reply.header("retry-after") == b"1"
        assert await used(gateway) == 4
        gate.set()
        assert {reply.status for reply in await asyncio.gather(*asked)} == {200}
        assert (await gateway.ask()).status == 200
        assert (await gateway.outcomes())["m", "default", "429", "inflight_limited"] == 1


async def test_a_full_pod_is_not_chosen():
    gate = asyncio.Event()
    script = lambda _request: FakeAnswer(gate, b"{}")  # noqa: E731
    profile = {"requestsInflight": 1, "routingStrategy": "random"}
    async with limited(script, limit=100, profile=profile, pods=5) as gateway:
        asked = [asyncio.ensure_future(gateway.ask()) for _ in range(5)]
        await settle(20)
        assert gateway.in_flight == [1] * 5
        gate.set()
        await asyncio.gather(*asked)
