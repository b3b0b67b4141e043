"""What gateways tell each other, over a real server."""

import asyncio

import pytest

from aibrix_mw.shared.exchange import INTERVAL, TTL, Exchange, Topic
from tests.support import Clock, until


class Gateway:
    """One that tells `own` and has heard `others`."""

    def __init__(self, client, *, clock=None, **own):
        self.own = own
        self.others = None
        topic = Topic("charges", lambda: self.own, lambda numbers: setattr(self, "others", dict(numbers)))
        more = {} if clock is None else {"clock": clock}
        self.exchange = Exchange(client, [topic], **more)

    async def tick(self):
        await self.exchange.tick()
        return self.others


@pytest.fixture
def gateways(client):
    return Gateway(client, al=3, bo=0.5), Gateway(client, al=2), Gateway(client, cy=7)


async def keys_of(client):
    return sorted([key async for key in client.scan_iter("*")])


async def test_each_hears_the_sum_of_all_others(gateways):
    one, two, three = gateways
    assert await one.tick() == {}
    assert await two.tick() == {"al": 3, "bo": 0.5}
    assert await three.tick() == {"al": 5, "bo": 0.5}
    assert await one.tick() == {"al": 2, "cy": 7}
    two.own = {"al": 1, "di": 4}
    await two.tick()
    assert await one.tick() == {"al": 1, "di": 4, "cy": 7}
    assert [gateway.exchange.live for gateway in gateways] == [3, 3, 3]


async def test_several_topics_stay_apart(client):
    heard = {}

    def topic(name):
        return Topic(name, lambda: {name: 1}, lambda numbers: heard.update({name: dict(numbers)}))

    topics = [topic("a"), topic("b")]
    await Exchange(client, topics).tick()
    await Exchange(client, [*topics, Topic("later", dict, lambda _: None)]).tick()
    assert heard == {"a": {"a": 1}, "b": {"b": 1}}


async def test_who_leaves_is_gone_at_once(gateways, client):
    one, two, _ = gateways
    await one.tick()
    await two.tick()
    running = asyncio.ensure_future(one.exchange.run())
    await until(lambda: one.exchange.live == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await two.tick() == {}
    assert two.exchange.live == 1
    await two.exchange.leave()
    assert await keys_of(client) == []


async def test_nothing_lives_for_ever_and_every_key_can_be_named_in_an_acl(gateways, client):
    for gateway in gateways:
        await gateway.tick()
    keys = await keys_of(client)
    assert len(keys) == 4
    assert all(key.startswith(b"aibrix_mw:v1:{shared}:gateway") for key in keys)
    ages = [await client.pttl(key) for key in keys]
    assert all(0 < age <= 60_000 for age in ages)
    assert sorted(ages)[2] <= TTL * 1000


async def test_a_gateway_whose_hash_has_expired_is_dropped(gateways, client):
    one, two, _ = gateways
    await one.tick()
    await two.tick()
    dead = one.exchange._key(one.exchange._id)
    await client.delete(dead)
    assert await two.tick() == {}
    assert await client.scard(two.exchange._index) == 1
    await one.tick()  # it was only slow
    assert await two.tick() == {"al": 3, "bo": 0.5}


async def test_a_dead_gateways_numbers_vanish_within_two_seconds(gateways):
    assert INTERVAL + TTL < 2
    dead, alive, _ = gateways
    living = asyncio.ensure_future(alive.exchange.run())
    await dead.tick()
    died = asyncio.get_running_loop().time()
    await until(lambda: alive.others == {"al": 3, "bo": 0.5})
    await until(lambda: alive.others == {})
    assert asyncio.get_running_loop().time() - died < 2
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)


async def test_while_the_store_is_away_old_numbers_are_forgotten(servers, server, client, log):
    clock = Clock()
    one, two = Gateway(client, al=3), Gateway(client, clock=clock)
    await one.tick()
    assert await two.tick() == {"al": 3}
    port = server.port
    server.stop()
    assert await two.tick() == {"al": 3}
    clock.now += TTL
    assert await two.tick() == {}
    assert two.exchange.live == 2
    await two.exchange.leave()  # as far as that is possible
    assert len([line for line in log() if "what other gateways do is not known" in line]) == 1
    servers(port)
    assert await two.tick() == {}
    await one.tick()
    assert await two.tick() == {"al": 3}
    assert [line for line in log() if line.startswith("store:")][-1] == "store: other gateways are heard again"


async def test_what_is_no_number_is_no_reason_to_stop(gateways, client, log):
    one, two, _ = gateways
    await one.tick()
    await client.hset(one.exchange._key(one.exchange._id), "charges", b"\xc1nonsense")
    assert await two.tick() is None
    assert any("not known" in line for line in log())
    await one.tick()
    assert await two.tick() == {"al": 3, "bo": 0.5}


async def test_a_store_that_hangs_holds_up_nobody(gateways, client):
    one, _, _ = gateways
    one.exchange.ttl = 0.05
    await client.client_pause(2000)
    async with asyncio.timeout(1):
        await one.tick()
    assert one.exchange.connected is False
    await client.client_unpause()


# --- bulletins


NOTHING = Topic("nothing", dict, lambda _: None)


class Paper:
    """A bulletin that tells `text` and keeps what it has heard."""

    every = 1.0

    def __init__(self, text):
        self.text = text
        self.taken = []
        self.met = []

    def collect(self):
        return self.text

    async def take(self, told):
        self.taken.append(sorted(told.values()))

    def meet(self, me, others):
        self.met.append(others if others is None else len(others))


async def test_bulletins_are_read_once_in_a_while(client):
    clock = Clock()
    papers = [Paper(b"a"), Paper(b"b"), Paper(None)]
    exchanges = [
        Exchange(client, [Topic("n", dict, lambda _: None)], bulletin=p, clock=clock, ttl=60.0) for p in papers
    ]
    for _ in range(10):
        for exchange in exchanges:
            await exchange.tick()
        clock.now += INTERVAL
    assert papers[0].taken == [[]] + [[b"b"]] * 4  # every 0.8 s: twice 0.4 s is the most that is within one second
    assert papers[2].taken == [[b"a", b"b"]] * 5
    assert papers[0].met == [0] + [2] * 9


async def test_a_bulletin_goes_with_its_gateway(client):
    clock = Clock()
    leaving, staying = Paper(b"a"), Paper(b"b")
    exchanges = [
        Exchange(client, [Topic("n", dict, lambda _: None)], bulletin=p, clock=clock) for p in (leaving, staying)
    ]
    for exchange in exchanges:
        await exchange.tick()
    ages = [await client.pttl(key) for key in await keys_of(client) if key.endswith(b":bulletin")]
    assert len(ages) == 2
    assert all(0 < age <= TTL * 1000 for age in ages)
    await exchanges[0].leave()
    clock.now += 1.0
    await exchanges[1].tick()
    assert (staying.taken, staying.met) == ([[b"a"], []], [1, 0])
    await exchanges[1].leave()
    assert await keys_of(client) == []


async def test_a_store_that_is_away_is_told(client, server):
    clock = Clock()
    paper = Paper(b"a")
    exchange = Exchange(client, [NOTHING], bulletin=paper, clock=clock)
    server.stop()
    await exchange.tick()
    clock.now += TTL
    await exchange.tick()
    assert (paper.met, paper.taken) == ([None], [])
