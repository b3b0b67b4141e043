"""The API server that the tests bring along behaves as a real one where discovery relies on it.

Every test here runs against both, where there is a real one.
"""

import asyncio
import json

import pytest

from aibrix_mw.pods.kubernetes.answers import page
from aibrix_mw.pods.kubernetes.client import ApiServer
from aibrix_mw.pods.manifest import NAME
from aibrix_mw.settings import KubernetesSettings
from tests.pods.kubernetes.cluster import is_gone


@pytest.fixture
async def api(cluster):
    made = ApiServer(KubernetesSettings(kubeconfig=cluster.through_wire()))
    await made.connect()
    yield made
    await made.aclose()


def names(found):
    return [json.loads(bytes(item))["metadata"]["name"] for item in found.items]


async def events(api, cluster, version, count):
    """The first events of a watch on the label of models, bookmarks left out."""
    query = [("watch", "true"), ("labelSelector", NAME), ("resourceVersion", version), ("timeoutSeconds", "5")]
    seen, rest = [], b""
    async with api.watch(cluster.namespace, query, idle=5) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            seen += [event for event in map(json.loads, lines) if event["type"] != "BOOKMARK"]
            if len(seen) >= count:
                return [(event["type"], event["object"]["metadata"]["name"]) for event in seen]
    return seen


async def test_pages_are_of_one_moment(api, cluster):
    for name in ("a", "b", "c"):
        await cluster.pod(name)
    first = page(await api.get(cluster.namespace, [("limit", "2")], idle=5))
    await cluster.pod("d")
    second = page(await api.get(cluster.namespace, [("limit", "2"), ("continue", first.metadata.token)], idle=5))
    assert (names(first), names(second)) == (["a", "b"], ["c"])
    assert first.metadata.resource_version == second.metadata.resource_version
    assert second.metadata.token == ""
    assert all("kind" not in json.loads(bytes(item)) for item in first.items or ())


async def test_a_watch_begins_after_a_version(api, cluster):
    await cluster.pod("a")
    version = page(await api.get(cluster.namespace, [], idle=5)).metadata.resource_version
    await cluster.pod("b")
    assert await events(api, cluster, version, 2) == [("ADDED", "b"), ("MODIFIED", "b")]


async def test_objects_enter_and_leave_a_selector(api, cluster):
    await cluster.pod("a", model=None)
    version = page(await api.get(cluster.namespace, [], idle=5)).metadata.resource_version
    await cluster.describe("a", labels={NAME: "m"})
    await cluster.describe("a", labels={NAME: "n"})
    await cluster.describe("a", labels={NAME: None})
    expected = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert await events(api, cluster, version, 3) == expected


async def test_deletion_with_grace(api, cluster):
    await cluster.pod("a")
    version = page(await api.get(cluster.namespace, [], idle=5)).metadata.resource_version
    await cluster.remove("a", grace=30)
    pod = json.loads(await api.get(cluster.namespace, [], idle=5))["items"][0]
    assert pod["metadata"]["deletionTimestamp"]
    assert pod["status"]["conditions"][0]["status"] == "True"
    await cluster.remove("a")
    seen = await events(api, cluster, version, 2)
    assert (seen[0], seen[-1]) == (("MODIFIED", "a"), ("DELETED", "a"))


async def test_a_version_that_is_gone(forgetful):
    """The answer is 410, or 200 and then an ERROR of 410: the fixture knows both."""
    assert await is_gone(forgetful, "1")


async def test_bookmarks(api, cluster):
    """A real one sends them every minute, and just before the end."""
    version = page(await api.get(cluster.namespace, [], idle=5)).metadata.resource_version
    query = [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version), ("timeoutSeconds", "3")]
    async with asyncio.timeout(10), api.watch(cluster.namespace, query, idle=5) as chunks:
        received = b"".join([chunk async for chunk in chunks])
    for line in received.splitlines():
        event = json.loads(line)
        assert event["type"] == "BOOKMARK"
        assert set(event["object"]) >= {"kind", "metadata"}
        assert int(event["object"]["metadata"]["resourceVersion"]) >= int(version)
