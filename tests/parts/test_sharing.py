"""The whole gateway: limits of users, and replicas that know of each other, over a real server."""

import asyncio
import time

import pytest

from aibrix_mw.keys import hash_of
from aibrix_mw.settings import from_dict
from tests.support import BODY, FakeAnswer, Running, settle, until

AL = [(b"user", b"al")]
USED = b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'


@pytest.fixture(autouse=True)
async def within_a_minute():
    """No test begins just before a minute of the clock, the store's too, is over."""
    await until(lambda: time.time() % 60 < 56)


def layers(gateway):
    layer, names = gateway.stack, []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    return names


async def statuses(running, times, headers=AL):
    return [(await running.ask(headers=headers)).status for _ in range(times)]


# --- users


async def test_a_users_requests():
    async with Running(users={"records": {"al": {"rpm": 2}}}) as running:
        assert await statuses(running, 3) == [200, 200, 429]
        assert await statuses(running, 3, [(b"user", b"bo")]) == [200] * 3
        assert await statuses(running, 3, []) == [200] * 3
        outcomes = await running.outcomes()
        assert outcomes["m", "default", "429", "user_limited"] == 1


async def test_the_users_header_counts_only_where_it_is_trusted():
    users = {"trust_header": False, "records": {"al": {"rpm": 1}}}
    async with Running(users=users) as running:
        assert await statuses(running, 2) == [200, 200]


async def test_with_keys_the_user_is_the_keys_name(tmp_path):
    (tmp_path / "keys").write_text(
        f"- {{name: al, sha256: {hash_of('sk-al')}}}\n- {{name: bo, sha256: {hash_of('sk-bo')}}}"
    )
    settings = {"auth": {"keys_file": str(tmp_path / "keys")}, "users": {"records": {"al": {"rpm": 1}}}}
    async with Running(**settings) as running:
        al, bo = ([(b"x-api-key", key), (b"user", b"mallory")] for key in (b"sk-al", b"sk-bo"))
        assert await statuses(running, 2, al) == [200, 429]
        assert await statuses(running, 2, [*bo, *AL]) == [200, 200]


async def test_what_the_model_limit_refuses_costs_the_user_nothing():
    config = {"profiles": {"default": {"requestsPerSecond": 1}}}
    async with Running(config=config, users={"records": {"al": {"rpm": 3, "tpm": 10_000}}}) as running:
        running.gateway.counting.limiter.windows.clock = lambda: 600.0
        assert await statuses(running, 5) == [200, 429, 429, 429, 429]
        counts = running.gateway.counting.limiter.windows._counts
        assert counts["{user:al}:rpm:60"] == 1
        running.gateway.counting.limiter.windows.clock = lambda: 601.0
        assert await statuses(running, 2) == [200, 429]


@pytest.mark.parametrize("headers", [[*AL, (b"external-filter", b"no=pod")], [*AL, (b"routing-strategy", b"nonsense")]])
async def test_what_cannot_be_routed_costs_the_user_nothing(headers):
    async with Running(users={"records": {"al": {"rpm": 1}}}) as running:
        assert set(await statuses(running, 3, headers)) <= {400, 503}
        assert await statuses(running, 2) == [200, 429]


async def test_users_off_is_no_layer_and_comes_with_the_first_record():
    async with Running() as running:
        assert "UserLimitMiddleware" not in layers(running.gateway)
        for _ in range(2):
            running.gateway.reload(from_dict({"models": {"m": {}}, "users": {"records": {"al": {"rpm": 1}}}}))
        names = layers(running.gateway)
        assert names[names.index("PlanMiddleware") + 1 :][:2] == ["UserLimitMiddleware", "RateLimitMiddleware"]
        assert names.count("UserLimitMiddleware") == 1
        assert await statuses(running, 2) == [200, 429]
        running.gateway.reload(from_dict({"models": {"m": {}}, "users": {"records": {"al": {"rpm": 5}}}}))
        assert await statuses(running, 1) == [200]
        running.gateway.reload(from_dict({"models": {"m": {}}, "users": {"trust_header": False}}))
        assert await statuses(running, 9) == [200] * 9


# --- replicas


@pytest.fixture
def replica(server):
    """Makes gateways over one store; their script says what engines do."""

    def make(script=None, **settings):
        return Running(script, store={"url": server.connection_url, "timeout": 5}, **settings)

    return make


async def test_a_users_record_in_the_store_holds_for_all_replicas(replica, client):
    await client.set("aibrix-users/al", b'{"name": "al", "rpm": 10, "tpm": 100000}')
    async with replica() as one, replica() as two:
        tasks = [running.ask(headers=AL) for running in (one, two) for _ in range(50)]
        found = [reply.status for reply in await asyncio.gather(*tasks)]
    assert (found.count(200), found.count(429)) == (10, 90)


async def test_requests_of_other_replicas_count_in_the_choice(replica):
    go = asyncio.Event()
    async with replica(lambda _: go) as one, replica() as two:
        held = [asyncio.ensure_future(one.ask()) for _ in range(4)]
        await settle()
        await until(lambda: two.in_flight == [2, 2])
        assert one.gateway.sharing.live_gateways() == two.gateway.sharing.live_gateways() == 2
        assert await two.counted("aibrix_gateway_in_flight_requests", "model") == {("m",): 0}
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await until(lambda: two.in_flight == [0, 0])


async def test_a_replica_that_stops_is_forgotten_at_once(replica):
    go = asyncio.Event()
    async with replica() as two:
        async with replica(lambda _: go) as one:
            await until(lambda: two.gateway.sharing.live_gateways() == 2)
            held = asyncio.ensure_future(one.ask())
            await until(lambda: sum(two.in_flight) == 1)
        await until(lambda: two.gateway.sharing.live_gateways() == 1)
        assert two.in_flight == [0, 0]
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)


async def test_tokens_are_shared(replica):
    users = {"records": {"al": {"tpm": 100}}}

    def script(_):
        return FakeAnswer(USED)

    body = BODY[:-1] + b', "max_tokens": 30}'
    async with replica(script, users=users) as one, replica(script, users=users) as two:
        passed = 0
        for running in (one, two) * 10:
            passed += (await running.ask(body, headers=AL)).status == 200
    # at most 100 - estimate may be used when one more is taken: 7 tokens a request, estimated at 41
    assert passed == (100 - 41) // 7 + 1


def test_without_a_store_nothing_is_exchanged():
    gateway = Running().gateway
    assert (gateway.sharing.exchange, gateway.sharing.live_gateways(), gateway.sharing.watchers()) == (None, 1, [])


async def test_charges_of_other_replicas_count(replica):
    """By the engine's own count, which replaces the estimate, per set of options."""
    fair = {"routing": {"default_strategy": "vtc-basic"}}
    async with replica(lambda _: FakeAnswer(USED), **fair) as one, replica(**fair) as two:
        strategy = two.gateway.catalogue.get("vtc-basic")
        await one.ask(headers=AL)
        await until(lambda: strategy.tokens.of("al", time.monotonic()) > 0)
        assert strategy.tokens.of("al", time.monotonic()) == 3 + 2 * 4
        assert two.gateway.catalogue.get("vtc-basic", {"windowSeconds": 60.0}).tell() == {}
    assert strategy.tell() == {}


async def test_each_engine_is_scraped_by_one_replica(replica):
    def script(request):
        return FakeAnswer(b"vllm:kv_cache_usage_perc 0.5\n" if request.target == b"/metrics" else b"{}")

    settings = {"pods": 8, "routing": {"default_strategy": "least-kv-cache"}, "scrape": {"interval": 0.2}}
    async with replica(script, **settings) as one, replica(script, **settings) as two:
        both = (one, two)
        await until(lambda: all(pod.metrics is not None for each in both for pod in each.registry.serving("m")))
        asked = [each.gateway.scraper._loops.keys() for each in both]
        await until(lambda: len({pod.uid for loops in asked for pod in loops}) == 8 == sum(map(len, asked)))
        for each in both:
            each.upstream.requests.clear()
        await until(lambda: all(len(each.upstream.requests) > 20 for each in both if each.gateway.scraper._loops))
        assert not {*one.upstream.hosts} & {*two.upstream.hosts}
        assert len({*one.upstream.hosts} | {*two.upstream.hosts}) == 8
