"""The waiting room of a gateway, in virtual time."""

import asyncio
from functools import wraps

import pytest

from aibrix_mw.middleware.plan import PlanMiddleware
from aibrix_mw.scope import REQUEST
from tests.support import BODY, Client, FakeAnswer, Running, info, settle
from tests.virtual_time import in_virtual_time

CAPPED = {"profiles": {"default": {"requestsInflight": 1, "requestsPerSecond": 100}}}
NOT_READY = {"excluded": "not_ready"}


def virtual(test):
    """The test runs on a loop whose time jumps."""

    @wraps(test)
    def run(*args, **options):
        in_virtual_time(test(*args, **options))

    return run


def waiting(script=None, *, size=3, deadline=3, pods=1, **settings):
    room = {"waiting_room": {"size": size, "deadline": deadline}, "max_loop_lag": 1000}
    return Running(script, pods=pods, limits=room, **settings)


def none_ready():
    return [info(1, **NOT_READY)]


def loop_time():
    return asyncio.get_running_loop().time()


def slow(seconds):
    """Engines that take so long."""

    def script(_request):
        answered = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, answered.set)
        return FakeAnswer(answered, b'{"ok": true}')

    return script


@virtual
async def test_f36_who_waits_is_served_by_a_pod_that_turns_ready():
    async with waiting(pods=none_ready()) as running:
        tasks = [Client(running.gateway).start() for _ in range(3)]
        await asyncio.sleep(1)
        assert not any(task.done() for task in tasks)
        running.registry.put("test", info(1))
        began = loop_time()
        replies = await asyncio.gather(*tasks)
        assert [reply.status for reply in replies] == [200] * 3
        assert loop_time() - began < 0.05


@virtual
async def test_f36_at_the_deadline_it_is_refused():
    async with waiting(pods=none_ready()) as running:
        began = loop_time()
        reply = await running.ask()
        assert (reply.status, reply.header("retry-after")) == (503, b"5")
        assert 3 <= loop_time() - began < 3.05
        assert {key[2:] for key in await running.outcomes()} == {("503", "no_ready_pods")}


@virtual
async def test_whom_there_is_no_room_for_is_refused_at_once():
    async with waiting(pods=none_ready(), size=2) as running:
        tasks = [Client(running.gateway).start() for _ in range(5)]
        await settle(10)
        assert [task.done() for task in tasks] == [False, False, True, True, True]
        assert {task.result().status for task in tasks[2:]} == {503}
        assert loop_time() == 0
        await asyncio.gather(*tasks)


@virtual
async def test_f32_without_a_room_nobody_waits():
    async with waiting(pods=none_ready(), size=0) as running:
        assert (await running.ask()).status == 503
        assert loop_time() == 0


@virtual
async def test_a_full_pod_is_had_in_turn():
    """First come, first served, one at a time: and who comes later does not go first."""
    order = []

    def script(request):
        order.append(dict(request.headers)[b"x-number"])
        return slow(0.2)(request)

    async with waiting(script, config=CAPPED, size=10) as running:
        tasks = []
        for number in range(8):
            tasks.append(Client(running.gateway, headers=[(b"x-number", b"%d" % number)]).start())
            await asyncio.sleep(0.05)
            assert running.in_flight[0] <= 1
        replies = await asyncio.gather(*tasks)
        assert [reply.status for reply in replies] == [200] * 8
        assert order == [b"%d" % number for number in range(8)]
        assert loop_time() < 8 * 0.2 + 8 * 0.011


@virtual
async def test_a_pod_that_stays_full():
    async with waiting(slow(10), config=CAPPED, size=1) as running:
        first = Client(running.gateway).start()
        await settle(10)
        second = Client(running.gateway).start()
        await settle(10)
        third = await running.ask()
        assert (third.status, loop_time()) == (429, 0)
        assert third.json()["error"]["code"] == "replica_inflight_exceeded"
        reply = await second
        assert (reply.status, reply.header("x-error-replica-inflight-exceeded")) == (429, b"true")
        assert 3 <= loop_time() < 3.05
        assert (await first).status == 200
        counted = await running.counted("aibrix_gateway_rps_refunds_total", "model")
        assert sum(counted.values()) == 0  # they took none
        limits = dict(first.result().headers)
        assert limits[b"x-ratelimit-remaining-requests"] == b"99"


@virtual
async def test_another_profile_passes_one_that_is_full():
    profiles = {"default": {"requestsInflight": 1}, "vip": {"requestsInflight": 2}}
    async with waiting(slow(1), config={"profiles": profiles}) as running:
        first, second = (Client(running.gateway).start() for _ in range(2))
        await asyncio.sleep(0.1)
        vip = Client(running.gateway, headers=[(b"config-profile", b"vip")]).start()
        await asyncio.sleep(0.1)
        assert running.in_flight == [2]
        assert [(await task).status for task in (first, vip, second)] == [200, 200, 200]
        assert 2 <= loop_time() < 2.3


@virtual
@pytest.mark.parametrize("extension", [True, False])
async def test_f37_a_client_that_leaves_while_it_waits(extension):
    async with waiting(pods=none_ready(), size=1) as running:
        client = Client(running.gateway, extension=extension)
        task = client.start()
        await asyncio.sleep(1)
        client.leave()
        reply = await task
        assert reply.messages == []
        assert {key[2:] for key in await running.outcomes()} == {("499", "client_cancelled")}
        again = Client(running.gateway).start()  # its place is free
        await asyncio.sleep(1)
        assert not again.done()
        await again
        assert running.upstream.requests == []


@virtual
async def test_what_is_refused_for_another_reason_does_not_wait():
    async with waiting(pods=none_ready()) as running:
        reply = await running.ask(headers=[(b"routing-strategy", b"no-such")])
        assert (reply.status, loop_time()) == (400, 0)
        running.registry.put("test", info(1))
        reply = await running.ask(headers=[(b"external-filter", b"a=b")])
        assert (reply.status, loop_time()) == (503, 0)


@virtual
async def test_what_turns_out_wrong_while_it_waits():
    async with waiting(pods=none_ready()) as running:
        task = Client(running.gateway, headers=[(b"external-filter", b"a=b")]).start()
        await asyncio.sleep(1)
        running.registry.put("test", info(1))
        reply = await task
        assert reply.json()["error"]["message"].startswith("external-filter a=b matches no ready pod")


@virtual
async def test_a_gateway_that_ends_keeps_nobody():
    async with waiting(pods=none_ready(), deadline=1000) as running:
        tasks = [Client(running.gateway).start() for _ in range(2)]
        await asyncio.sleep(1)
        running.gateway.room.close()
        replies = await asyncio.gather(*tasks)
        assert [(reply.status, reply.header("connection")) for reply in replies] == [(503, b"close")] * 2
        assert loop_time() < 1.01


@virtual
async def test_what_is_inside_reads_the_body_again():
    """Under most servers a client that leaves is noticed by reading on."""
    async with waiting(pods=none_ready()) as running:
        seen = []

        async def inner(scope, receive, send):
            seen.append(await receive())
            assert REQUEST.require(scope).body == BODY
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            seen.append(await receive())

        _plan_of(running).app = inner
        client = Client(running.gateway)
        task = client.start()
        await asyncio.sleep(1)
        running.registry.put("test", info(1))
        await asyncio.sleep(1)
        client.gone.set()
        await task
        assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]
        assert (seen[0]["body"], seen[0]["more_body"]) == (BODY, False)


@virtual
async def test_one_that_goes_and_comes_to_no_pod_stops_nobody_for_long():
    """Say a store is asked, and its answer takes its time: meanwhile nobody is told to go where it already goes."""
    async with waiting(slow(0.1), config=CAPPED) as running:
        app = _plan_of(running).app

        async def stuck(scope, receive, send):
            if not waits:
                waits.append(True)
                await asyncio.sleep(2)
            await app(scope, receive, send)

        waits = []
        first = Client(running.gateway)
        _plan_of(running).app = app
        busy = first.start()
        await settle(10)
        _plan_of(running).app = stuck
        tasks = [Client(running.gateway).start() for _ in range(2)]
        await busy
        went = [await task for task in tasks]
        assert [reply.status for reply in went] == [200, 200]


def _plan_of(running):
    return running.gateway.layers[PlanMiddleware]
