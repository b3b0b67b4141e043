"""Faults of pods as Kubernetes Events."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from aibrix_mw.errors import Fault
from aibrix_mw.pods.kubernetes.answers import Away
from aibrix_mw.pods.kubernetes.events import Events
from aibrix_mw.pods.manifest import CONFIG, PORT
from tests.support import info, until


async def written(cluster):
    listed = await cluster.core.list_namespaced_event(cluster.namespace)
    return [
        (event.involved_object.name, event.reason, event.message)
        for event in listed.items
        if event.involved_object.namespace == cluster.namespace
    ]


async def at_least(count, cluster):
    async with asyncio.timeout(5):
        while len(found := await written(cluster)) < count:  # noqa: ASYNC110 - only the API server knows
            await asyncio.sleep(0.02)
    return found


async def test_invalid_annotations_and_ports(cluster, discover):
    await cluster.pod("one", annotations={CONFIG: "{"})
    await cluster.pod("two", port="http")
    await cluster.pod("three")
    seen = await discover(cluster, emit_events=True)
    again = await discover(cluster, emit_events=True)
    assert len(await at_least(2, cluster)) == 2
    await cluster.describe("one", annotations={CONFIG: "["})
    found = await at_least(3, cluster)
    await until(lambda: not (seen.pods.faults() or again.pods.faults()))
    assert sorted((name, reason) for name, reason, _ in found) == [
        ("one", "InvalidConfig"),
        ("one", "InvalidConfig"),
        ("two", "InvalidPort"),
    ]
    assert all(f"pod {cluster.namespace}/{name}, model m: " in message for name, _, message in found)


async def test_rights_that_are_missing(small_cluster, discover, log):
    await small_cluster.grant(small_cluster.namespace, pods=["list", "watch"])
    await small_cluster.pod("one", annotations={CONFIG: "{"})
    await small_cluster.pod("two", annotations={CONFIG: "["})
    seen = await discover(small_cluster, context="gateway", emit_events=True)
    await until(lambda: any("Events cannot be written" in line for line in log()))
    (line,) = [line for line in log() if "Events cannot be written" in line]
    assert f"verb create, resource events, namespace {small_cluster.namespace}" in line
    assert seen.serving() == ["one", "two"]


async def test_none_without_the_setting(small_cluster, discover):
    await small_cluster.pod("one", annotations={CONFIG: "{"})
    seen = await discover(small_cluster)
    await until(seen.registry.faults)
    asked = (await small_cluster.control())["asked"]
    await small_cluster.pod("two", annotations={CONFIG: "["})
    await seen.sees("one", "two")
    assert (await small_cluster.control())["asked"].get("create events") == asked.get("create events")


class Broken:
    """A client with a mistake in it."""

    async def create_event(self, namespace, event):
        raise ZeroDivisionError(namespace)


BROKEN: Any = Broken()


async def test_too_many(log):
    events: Any = Events(BROKEN, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    for number in range(1001):
        events.emit(info(1), Fault("path", str(number)))
    assert log() == ["too many Kubernetes Events wait, one is dropped: path: 1000"]


async def test_a_mistake_of_our_own_does_not_end_it(log):
    events = Events(BROKEN)
    for number in range(2):
        events.emit(info(1), Fault("path", str(number)))
    running = asyncio.ensure_future(events.run())
    await until(lambda: len(log()) == 2)
    assert not running.done()
    running.cancel()


def test_ports_are_told_once_as_long_as_they_are_wrong():
    events: Any = Events(BROKEN)
    wrong: Any = {"excluded": "invalid_port", "labels": {PORT: "http"}}
    told = []
    events.emit = lambda pod, fault: told.append(f"{pod.name} {fault.reason}")
    for pod in (info(1, **wrong), info(1, **wrong), info(1), info(1, **wrong)):
        events.see(pod)
    assert told == ["pod-1 not a port (1..65535): 'http'; the pod is left out"] * 2
    for number in range(2000):
        events.see(info(number, **wrong))
    assert len(events._ports) <= 1000


async def test_an_event():
    event = Events(BROKEN, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))._event(info(1), Fault("p", "x" * 2000))
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-02T03:04:05Z"
    assert len(event["message"]) == 1024
    assert event["involvedObject"]["uid"] == "uid-1"
    assert event["metadata"]["name"].startswith("pod-1.")


async def test_the_api_server_is_away_once(log):
    events: Any = Events(BROKEN)
    events._failed(Away("nobody there"))
    events._failed(Away("nobody there"))
    assert log() == ["Kubernetes Events cannot be written: nobody there"]
