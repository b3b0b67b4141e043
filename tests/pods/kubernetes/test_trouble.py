"""What happens to discovery when the API server, the wire or the rights fail."""

import asyncio
import time

import pytest
import yaml

from aibrix_mw.pods.kubernetes.stream import Timing
from tests.pods.kubernetes.cluster import load_document
from tests.support import until

SHORT = Timing(idle=0.2)


class Lowest:
    """The least number of pods that could take requests at any turn of the loop."""

    def __init__(self, seen):
        self.seen = seen
        self.task = asyncio.ensure_future(self._look())

    async def _look(self):
        least = len(self.seen.serving())
        while True:
            least = min(least, len(self.seen.serving()))
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return least

    async def stop(self):
        self.task.cancel()
        return await self.task


# --- the wire


async def test_a_watch_goes_on_where_it_broke_off(cluster, discover):
    await cluster.pod("one")
    seen = await discover(cluster)
    await until(lambda: seen.pods.age() == 0)
    versions = [stream.version for stream in seen.pods.streams]
    cluster.wire.cut()
    await cluster.pod("two")
    await seen.sees("one", "two")
    assert seen.pods.errors() >= 1
    await until(lambda: not seen.pods.faults())
    assert versions[0] != seen.pods.streams[0].version


async def test_f49_the_api_server_is_away(cluster, discover, log):
    await cluster.pod("stays")
    await cluster.pod("leaves")
    seen = await discover(cluster)
    cluster.wire.away()
    await until(lambda: seen.pods.age() > 0.3)
    assert seen.pods.not_ready() is None
    await cluster.remove("leaves")
    assert seen.serving() == ["leaves", "stays"]
    assert "the API server cannot be reached" in str(seen.pods.faults()[0])
    await cluster.wire.open()
    back = time.monotonic()
    await seen.sees("stays")
    assert time.monotonic() - back < 2
    await until(lambda: seen.pods.age() == 0)
    assert len([line for line in log() if "pods stay as they were" in line]) <= 2 * len(seen.pods.streams)
    assert any("watching again" in line for line in log())


async def test_a_dead_wire_is_noticed(cluster, discover):
    """Half-open: nobody closes, nothing comes any more."""
    await cluster.pod("one")
    seen = await discover(cluster, timing=SHORT)
    cluster.wire.flowing.clear()
    await until(lambda: seen.pods.errors() > 0)
    assert seen.pods.age() > 0
    assert seen.serving() == ["one"]
    cluster.wire.flowing.set()
    await cluster.pod("two")
    await seen.sees("one", "two")


async def test_watches_end_and_begin_again(cluster, discover):
    seen = await discover(cluster, timing=Timing(watch=(1.0, 1.0)))
    before = cluster.wire.accepted
    stream = seen.pods.streams[0]
    ends = []
    watch = stream._watch

    async def counted():
        await watch()
        ends.append(stream.version)

    stream._watch = counted
    await until(lambda: len(ends) >= 2)
    await cluster.pod("one")
    await seen.sees("one")
    assert seen.pods.errors() == 0
    assert cluster.wire.accepted - before <= 2


async def test_f50_the_version_is_gone(forgetful, discover, log):
    for name in ("one", "two", "three"):
        await forgetful.pod(name)
    seen = await discover(forgetful)
    await until(lambda: seen.pods.age() == 0)
    lowest = Lowest(seen)
    for stream in seen.pods.streams:
        stream.version = "1"
    forgetful.wire.cut()
    await forgetful.remove("three")
    await forgetful.pod("four")
    await seen.sees("four", "one", "two")
    await until(lambda: all(stream.version != "1" for stream in seen.pods.streams))
    assert await lowest.stop() >= 2
    assert any("listing anew" in line for line in log())


async def test_f50_compaction_while_watching(small_cluster, discover):
    await small_cluster.pod("one")
    seen = await discover(small_cluster)
    lowest = Lowest(seen)
    small_cluster.wire.away()
    await small_cluster.pod("two")
    await small_cluster.control(compact=True)
    await small_cluster.wire.open()
    await seen.sees("one", "two")
    assert await lowest.stop() == 1


async def test_pages_that_expire_on_the_way(small_cluster, discover):
    names = [f"pod-{number}" for number in range(5)]
    for name in names:
        await small_cluster.pod(name)
    seen = await discover(small_cluster, timing=Timing(page_size=2), wait=False)
    api = seen.pods.api
    get, asked = api.get, []

    async def cut_then_get(namespace, query, **options):
        if "!" not in dict(query)["labelSelector"]:
            asked.append(dict(query).get("limit"))
            if len(asked) == 2:
                await small_cluster.control(cut_pages=True)
        return await get(namespace, query, **options)

    api.get = cut_then_get
    await seen.sees(*names)
    assert asked == ["2", "2", "0"]


# --- the answers


async def test_refusals_that_pass(small_cluster, discover):
    await small_cluster.grant(small_cluster.namespace, pods=["list", "watch"])
    await small_cluster.pod("one")
    await small_cluster.control(fail=[503, 429, 500])
    seen = await discover(small_cluster, context="gateway")
    assert seen.pods.errors() == 3
    assert seen.serving() == ["one"]


async def test_rights_that_are_missing(cluster, discover):
    if not cluster.has_context("gateway"):
        pytest.skip("the kubeconfig has no context `gateway`, an account without rights")
    seen = await discover(cluster, context="gateway", wait=False)
    where = f"namespace {cluster.namespace}"
    await until(lambda: len(seen.pods.faults()) == 2)
    assert f"forbidden (403): the gateway's account lacks a right: verb list, resource pods, {where}" in str(
        seen.pods.not_ready()
    )
    await cluster.grant(cluster.namespace, pods=["list"])
    await until(lambda: seen.pods.not_ready() is None)
    await until(lambda: "lacks a right: verb watch, resource pods" in str(seen.pods.faults()))
    await cluster.grant(cluster.namespace, pods=["watch"])
    await until(lambda: not seen.pods.faults())
    await cluster.pod("one")
    await seen.sees("one")


async def test_a_token_that_is_wrong(cluster, discover):
    seen = await discover(cluster, token="wrong", wait=False)
    await until(seen.pods.faults)
    where = f"verb list, resource pods, namespace {cluster.namespace}"
    assert "unauthorized (401): the API server does not accept the gateway's credentials" in str(seen.pods.faults()[0])
    assert where in str(seen.pods.not_ready())
    assert "wrong" not in str(seen.pods.faults())


async def test_a_token_that_rotates(small_cluster, discover, tmp_path):
    token = tmp_path / "token"
    token.write_text("admin-token")
    kubeconfig = small_cluster.through_wire()
    document = load_document(kubeconfig)
    document["users"] = [{"name": "admin", "user": {"tokenFile": str(token)}}]
    rotating = tmp_path / "rotating"
    rotating.write_text(yaml.safe_dump(document))
    seen = await discover(small_cluster, kubeconfig=str(rotating))
    await small_cluster.control(tokens={"admin-token": None, "fresh": "admin"})
    try:
        small_cluster.wire.cut()
        await until(lambda: "unauthorized" in str(seen.pods.faults()))
        token.write_text("fresh")
        await until(lambda: not seen.pods.faults())
    finally:
        await small_cluster.control(tokens={"admin-token": "admin"})
    await small_cluster.pod("one")
    await seen.sees("one")
