"""Engines are asked by one gateway of several: over a real store, in a time of the tests' own."""

import itertools

import msgspec
import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.shared.exchange import TTL
from tests.pods.timed import Time
from tests.shared.replicas import KV, Fleet
from tests.support import info

COUNTERS = frozenset({"generation_tokens_rate", "decode_seconds", "busy_share", "queue_seconds"})


@pytest.fixture
async def fleet(client):
    made = Fleet(Time(), client)
    yield made
    await made.stop()


def text(requests, running=1):
    """What an engine says after so many requests: 0.5 s in the queue, 50 tokens in 2 s each."""
    return (
        f"vllm:num_requests_running {running}\nvllm:generation_tokens_total {50 * requests}\n"
        f"vllm:request_queue_time_seconds_sum {0.5 * requests}\nvllm:request_queue_time_seconds_count {requests}\n"
        f"vllm:request_decode_time_seconds_sum {2 * requests}\nvllm:request_decode_time_seconds_count {requests}\n"
        f"vllm:request_generation_tokens_sum {50 * requests}\nvllm:request_generation_tokens_count {requests}\n"
    ).encode()


def once_an_interval(times):
    return all(0.9 < later - earlier < 1.1 for earlier, later in itertools.pairwise(times))


async def test_each_engine_once_an_interval(fleet):
    replicas = [fleet.add(name) for name in "abc"]
    await fleet.pass_(4.0)
    settled = fleet.time.now
    await fleet.pass_(10.0)
    for number in range(1, fleet.pods + 1):
        times = fleet.asked(number, settled)
        assert 9 <= len(times) <= 11
        assert once_an_interval(times)
        for replica in replicas:
            assert replica.metrics(number).kv_cache_usage == 0.25
            assert replica.metrics(number).expires > fleet.time.now
    assert sum(len(replica.asks) for replica in replicas) == fleet.pods
    assert all(replica.asks for replica in replicas)


async def test_nobody_asks_before_it_is_known_who_is_there(fleet):
    for name in "ab":
        fleet.add(name)
    await fleet.time.pass_(5.0)
    assert fleet.asked(1) == []


async def test_what_is_told_is_what_was_read(fleet):
    """Windowed rates and means too, and after a restart of the engine."""
    asking, other = fleet.add("a", fields=COUNTERS), fleet.add("b", fields=COUNTERS)
    fleet.answers |= {f"10.0.0.{number}": text(1000) for number in range(1, fleet.pods + 1)}
    await fleet.pass_(3.0)
    number = next(n for n in range(1, fleet.pods + 1) if f"uid-{n}" in asking.asks)
    for requests, running in ((1030, 1), (4, 0)):
        fleet.answers[f"10.0.0.{number}"] = text(requests, running)
        await fleet.pass_(4.0)
        own, heard = asking.metrics(number), other.metrics(number)
        assert heard is not own
        assert msgspec.structs.replace(heard, expires=own.expires) == own
        assert heard.expires == pytest.approx(own.expires, abs=1.0)
        assert (own.decode_seconds, own.queue_seconds) == (0.04, 0.5)
    assert own.generation_tokens_rate == pytest.approx(
        34 * 50 / (fleet.time.now - asking.engines.times(number)[0]), 0.1
    )


async def test_an_object_stays_the_same_until_the_engine_is_asked_again(fleet):
    """Strategies tell a new report by that."""
    asking, other = fleet.add("a"), fleet.add("b")
    await fleet.pass_(4.0)
    number = next(n for n in range(1, fleet.pods + 1) if f"uid-{n}" in asking.asks)
    before = other.metrics(number)
    fleet.answers[f"10.0.0.{number}"] = UpstreamError("gone", "connect")
    await fleet.pass_(2.5)
    last = other.metrics(number)
    await fleet.pass_(5.0)
    assert other.metrics(number) is last
    assert last.expires < fleet.time.now
    assert last.expires <= before.expires + 2.0
    assert other.engines.times(number) == []  # an engine that fails is not asked by everybody


# --- who comes and goes


async def test_a_dead_replica_is_taken_over_within_three_intervals(fleet):
    doomed, *others = [fleet.add(name) for name in "abc"]
    await fleet.pass_(4.0)
    orphans, died = doomed.asks, fleet.time.now
    assert orphans
    await fleet.kill(doomed)
    await fleet.pass_(1.8)
    for uid in orphans:
        times = fleet.asked(int(uid[4:]), died)
        assert died < times[0] <= died + 3.0
        assert once_an_interval(times)
    await fleet.pass_(2.0)
    assert others[0].asks | others[1].asks == {f"uid-{n}" for n in range(1, fleet.pods + 1)}
    assert not others[0].asks & others[1].asks
    assert doomed.shared.patience >= TTL


async def test_rates_go_on_where_they_are_taken_over(fleet):
    fields = frozenset({"generation_tokens_rate"})
    first = fleet.add("a", fields=fields)
    fleet.pods = 1
    for tick in range(30):
        fleet.answers["10.0.0.1"] = b"vllm:generation_tokens_total %d\n" % (100 * tick)
        await fleet.pass_(1.0)
        if tick == 5:
            second = fleet.add("b", fields=fields)
    assert first.metrics().generation_tokens_rate == pytest.approx(100, rel=0.1)
    asking, other = (first, second) if "uid-1" in first.asks else (second, first)
    await fleet.leave(asking)
    for tick in range(30, 36):
        fleet.answers["10.0.0.1"] = b"vllm:generation_tokens_total %d\n" % (100 * tick)
        await fleet.pass_(1.0)
        assert other.metrics().generation_tokens_rate == pytest.approx(100, rel=0.1)
    assert "uid-1" in other.asks


async def test_a_replica_that_joins_takes_its_share_without_a_gap(fleet):
    first, second = fleet.add("a"), fleet.add("b")
    await fleet.pass_(5.0)
    before = first.asks, second.asks
    joined = fleet.time.now
    third = fleet.add("c")
    await fleet.pass_(5.0)
    assert third.asks
    assert first.asks == before[0] - third.asks
    assert second.asks == before[1] - third.asks
    for number in range(1, fleet.pods + 1):
        times = fleet.asked(number, joined - 1.0)
        assert all(later - earlier < 1.1 for earlier, later in itertools.pairwise(times))
        assert len(times) <= 6 + 2
        assert once_an_interval(fleet.asked(number, joined + 3.0))


async def test_while_the_store_is_away_each_asks_for_itself(fleet, servers, server, log):
    replicas = [fleet.add(name, ttl=TTL) for name in "ab"]
    everything = {f"uid-{number}" for number in range(1, fleet.pods + 1)}
    await fleet.pass_(4.0)
    port = server.port
    server.stop()
    await fleet.pass_(3.0)
    assert all(replica.asks == everything for replica in replicas)
    away = fleet.time.now
    await fleet.pass_(3.0)
    assert all(replica.metrics(number).expires > away for replica in replicas for number in range(1, fleet.pods + 1))
    servers(port)
    await fleet.pass_(5.0)
    assert not replicas[0].asks & replicas[1].asks
    assert replicas[0].asks | replicas[1].asks == everything
    said = [line for line in log() if line.startswith("scraper:")]
    assert said == [
        *["scraper: the store is away, so that this gateway asks all engines itself"] * 2,
        *["scraper: engines are shared with other gateways again"] * 2,
    ]


# --- replicas that differ


async def test_pods_that_the_others_do_not_know(fleet):
    """Each of two clusters with one store asks its own engines, and takes no notice of the other's."""
    near, far = fleet.add("a", infos=fleet.infos(1, 2, 3, 4)), fleet.add("b", infos=fleet.infos(4, 5, 6, 7))
    await fleet.pass_(6.0)
    assert near.asks >= {"uid-1", "uid-2", "uid-3"}
    assert far.asks >= {"uid-5", "uid-6", "uid-7"}
    assert len(near.asks) + len(far.asks) == 7
    assert near.metrics(4) is not None
    assert far.metrics(4) is not None


async def test_who_needs_more_than_is_told_asks_until_somebody_tells_it(fleet):
    fleet.answers |= {
        f"10.0.0.{n}": b"vllm:kv_cache_usage_perc 0.5\nvllm:num_requests_running 2\n" for n in range(1, 13)
    }
    plain, curious = fleet.add("a"), fleet.add("b", fields=KV | {"running"})
    await fleet.pass_(6.0)
    assert curious.asks == {f"uid-{number}" for number in range(1, 13)}
    assert {curious.metrics(number).running for number in range(1, 13)} == {2}
    # of the two that ask for one engine, the one that it falls to goes on
    assert plain.asks < curious.asks
    plain.fields = curious.fields
    await fleet.pass_(4.0)
    assert not plain.asks & curious.asks
    assert len(plain.asks | curious.asks) == 12


async def test_of_several_that_step_in_one_goes_on(fleet):
    """The engines fall to a gateway that knows none of them."""
    stranger, *others = [fleet.add(name, infos=[] if name == "a" else None) for name in "abc"]
    await fleet.pass_(8.0)
    assert stranger.asks == set()
    assert not others[0].asks & others[1].asks
    assert len(others[0].asks | others[1].asks) == fleet.pods
    stranger.registry.put("test", info(1))
    stranger.registry.put("test", info(2))
    await fleet.pass_(4.0)
    assert once_an_interval(fleet.asked(1, fleet.time.now - 3.0))


@pytest.mark.parametrize("text", [b"\x93nonsense", b"\x90", b"\x92\x01\x91\x93\xa1\xff\x01\xc0"])
async def test_what_cannot_be_read_is_said_once_and_not_waited_for(fleet, log, text):
    replica, broken = fleet.add("a"), fleet.add("b")
    broken.shared.collect = lambda: text
    await broken.stop()
    await fleet.pass_(6.0)
    assert replica.asks == {f"uid-{number}" for number in range(1, fleet.pods + 1)}
    assert len([line for line in log() if "cannot be read" in line]) == 1
