"""One stream's pace, and answers that no API server should give; the API server is a script."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest

from aibrix_mw.pods.kubernetes.answers import Away, Refused
from aibrix_mw.pods.kubernetes.namespaces import Pooled
from aibrix_mw.pods.kubernetes.stream import Backoff, Stream
from aibrix_mw.pods.manifest import NAME
from aibrix_mw.pods.registry import PodRegistry
from tests.support import Clock


def pod(name, ip="10.0.0.1", version="5"):
    status = {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]}
    meta = {"name": name, "namespace": "ns", "uid": name, "labels": {NAME: "m"}, "resourceVersion": version}
    return {"metadata": meta, "status": status}


def listing(*pods):
    return json.dumps({"metadata": {"resourceVersion": "4"}, "items": pods}).encode()


def line(kind, thing):
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


class Script:
    """Answers in turn; after the last one the test ends."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.asked = []
        self.refreshed = 0

    async def _next(self, verb, query):
        if not self.steps:
            raise asyncio.CancelledError
        self.asked.append((verb, dict(query).get("resourceVersion")))
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def get(self, namespace, query, *, idle):
        return await self._next("list", query)

    @asynccontextmanager
    async def watch(self, namespace, query, *, idle):
        chunks = await self._next("watch", query)

        async def read():
            for chunk in chunks:
                yield chunk

        yield read()

    async def refresh(self):
        self.refreshed += 1


class Played:
    """A stream that plays a script to its end."""

    def __init__(self, *steps):
        self.registry = PodRegistry()
        self.api = Script(*steps)
        self.waits = []
        self.clock = Clock()
        self.stream = Stream(
            self.api,
            Pooled(self.registry),
            "ns",
            NAME,
            rng=random.Random(1),
            clock=self.clock,
            sleep=self.sleep,
        )

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.clock.now += seconds

    async def play(self):
        with pytest.raises(asyncio.CancelledError):
            await self.stream.run()
        return self

    @property
    def names(self):
        return sorted(pod.uid for pod in self.registry.serving("m"))


def test_waits_grow_with_jitter():
    backoff = Backoff(random.Random(1))
    waits = [backoff.next(1.0) for _ in range(20)]
    assert 0.05 <= waits[0] <= 0.1
    assert min(waits[5:]) >= 0.5
    assert max(waits) <= 1
    assert len(set(waits)) == 20
    assert 15 <= Backoff(random.Random(1)).next(30.0, at_least=20) <= 30
    assert max(backoff.next(30.0) for _ in range(20)) <= 30


async def test_refused_connections_wait_at_most_one_second():
    played = await Played(*[Away("refused")] * 12, listing(pod("a")), []).play()
    assert 0.5 <= max(played.waits) <= 1
    assert played.stream.errors == 12
    assert played.names == ["a"]


async def test_refusals_wait_at_most_thirty():
    played = await Played(*[Refused(503, "no")] * 14, Refused(429, "no", 25)).play()
    assert 15 <= max(played.waits) <= 30
    assert played.waits[-1] >= 25
    assert played.stream.errors == 15


async def test_credentials_are_read_again():
    played = await Played(Refused(401, "who"), Refused(403, "no")).play()
    assert played.api.refreshed == 1


async def test_a_watch_goes_on_from_bookmarks():
    mark = line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    lines = line("ADDED", pod("a", version="6")) + mark
    played = await Played(listing(), [lines[:30], lines[30:-5], lines[-5:]], []).play()
    assert played.api.asked == [("list", None), ("watch", "4"), ("watch", "9")]
    assert played.names == ["a"]


async def test_watches_that_end_at_once_are_not_hammered():
    played = await Played(listing(), [], [], []).play()
    assert len(played.waits) == 3
    assert played.waits[2] > played.waits[0]
    assert played.stream.errors == 0


async def test_what_is_no_list(log):
    played = await Played(b"<html>", listing(pod("a")), [b"nonsense\n"], listing(pod("b")), []).play()
    assert [verb for verb, _ in played.api.asked] == ["list", "list", "watch", "list", "watch"]
    assert played.names == ["b"]
    assert played.stream.errors == 2
    assert any("no list or watch of pods" in text for text in log())


async def test_a_mistake_of_our_own_does_not_end_it(log):
    played = await Played(ZeroDivisionError("oops"), listing(pod("a")), []).play()
    assert played.names == ["a"]
    assert any("for a reason of its own" in text for text in log())


async def test_a_pod_that_cannot_be_read(log):
    events = [
        line("ADDED", pod("a")),
        line("MODIFIED", pod("b", ip="nowhere")),
        line("MODIFIED", pod("c", version="8")),
    ]
    played = await Played(listing(pod("b")), events, []).play()
    assert played.names == ["a", "c"]
    assert played.stream.version == "8"
    assert any("a pod that cannot be read is left out: status.podIP" in text for text in log())


async def test_an_error_on_the_watch():
    status = {"code": 500, "message": "etcd is slow"}
    played = await Played(listing(pod("a")), [line("ERROR", status)], []).play()
    assert played.api.asked[-1] == ("watch", "4")
    assert played.names == ["a"]


async def test_age():
    played = Played(listing(), Away("reset"))
    assert played.stream.age() == 0
    await played.play()
    assert played.stream.age() == pytest.approx(sum(played.waits))
