"""The whole gateway over an API server: what clients notice of pods that come, go and turn, and of the API server."""

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest

from aibrix_mw.app import create_app
from aibrix_mw.pods.manifest import NAME
from tests.support import DONE, SSE_HEADERS, STREAM_BODY, Client, FakeAnswer, FakeUpstream, ask, settle, until

RATE = 200.0


@asynccontextmanager
async def gateway(cluster, script=None, **settings):
    """A gateway that follows the cluster's namespace, in front of engines that do as the script says."""
    kubernetes = {"enabled": True, "kubeconfig": cluster.through_wire(), "namespaces": [cluster.namespace]}
    app = create_app({"discovery": {"kubernetes": kubernetes}, **settings})
    app.upstream.plain = FakeUpstream(script)
    async with app.running():
        yield app


async def in_step(app):
    await until(lambda: app.lifecycle.not_ready() is None)


async def ready(app):
    reply = await ask(app, b"", "/readyz", method="GET")
    return reply.status, reply.json()["status"]


class Load:
    """Requests at a steady rate; when each pod was picked, and what the answers were."""

    def __init__(self, app):
        self.app = app
        self.statuses = []
        self.last_pick = {}
        self._tasks = set()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self):
        due = time.perf_counter()
        while True:
            task = asyncio.ensure_future(self._one())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += 1 / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))

    async def _one(self):
        reply = await ask(self.app)
        self.statuses.append(reply.status)
        if reply.status == 200:
            self.last_pick[reply.header("target-pod").decode()] = time.perf_counter()

    async def more(self, requests):
        """Wait for so many more answers."""
        enough = len(self.statuses) + requests
        await until(lambda: len(self.statuses) >= enough)

    async def stop(self):
        self._task.cancel()
        await asyncio.gather(self._task, *self._tasks, return_exceptions=True)


async def test_readiness_waits_for_the_first_list(cluster):
    await cluster.pod("one")
    cluster.wire.away()
    async with gateway(cluster) as app:
        await until(app.faults)
        status, reason = await ready(app)
        assert (status, "the API server cannot be reached" in reason) == (503, True)
        reply = await ask(app)
        assert (reply.status, reply.json()["error"]["message"]) == (503, "the pods are not known yet")
        await cluster.wire.open()
        await in_step(app)
        assert await ready(app) == (200, "ready")
        assert (await ask(app)).header("target-pod") == b"one"
        assert (await ask(app, b'{"model": "unknown"}')).status == 404
        cluster.wire.away()
        await until(app.faults)
        assert await ready(app) == (200, "ready")


async def test_f47_not_ready_while_streaming(cluster):
    go_on = asyncio.Event()
    events = [b'data: {"n": %d}\n\n' % number for number in range(4)]

    def script(request):
        if b"stream" in request.body:
            return FakeAnswer(*events[:2], go_on, *events[2:], DONE, b"", headers=SSE_HEADERS)
        return FakeAnswer(b"{}")

    await cluster.pod("one")
    async with gateway(cluster, script) as app:
        await in_step(app)
        client = Client(app, STREAM_BODY)
        streaming = client.start()
        await client.got.wait()
        await cluster.pod("two")
        await until(lambda: len(app.registry.serving("m")) == 2)
        await cluster.set_ready("one", False)
        await until(lambda: len(app.registry.serving("m")) == 1)
        assert {(await ask(app)).header("target-pod") for _ in range(20)} == {b"two"}
        go_on.set()
        reply = await streaming
        assert reply.header("target-pod") == b"one"
        assert reply.body == b"".join(events) + DONE
        assert reply.complete
        await settle()
        assert [pod.in_flight for pod in app.registry.models()["m"]] == [0, 0]


@pytest.mark.parametrize("flag", [False, True])
async def test_f48_only_terminating_pods_are_left(cluster, flag):
    await cluster.pod("one")
    await cluster.pod("two")
    async with gateway(cluster, routing={"use_terminating_as_last_resort": flag}) as app:
        await in_step(app)
        await cluster.remove("one", grace=30)
        await until(lambda: len(app.registry.serving("m")) == 1)
        assert {(await ask(app)).header("target-pod") for _ in range(20)} == {b"two"}
        await cluster.remove("two")
        await until(lambda: "two" not in str(app.registry.models()))
        reply = await ask(app)
        if flag:
            assert reply.header("target-pod") == b"one"
        else:
            assert (reply.status, reply.json()["error"]["message"]) == (503, "no ready pods for model m")


async def test_from_event_to_no_picks(cluster, figure):
    """At 200 requests/s, from the API server's answer to the kubelet until the last pick: 100 ms at most."""
    await cluster.pod("stays")
    await cluster.pod("turns")
    delays = []
    async with gateway(cluster) as app:
        await in_step(app)
        load = Load(app)
        for _ in range(10):
            await load.more(20)
            assert "turns" in load.last_pick
            begun = time.perf_counter()
            await cluster.set_ready("turns", False)
            await load.more(40)
            delays.append(load.last_pick.pop("turns") - begun)
            await cluster.set_ready("turns", True)
            await until(lambda: len(app.registry.serving("m")) == 2)
        await load.stop()
    assert set(load.statuses) == {200}
    figure(f"last pick {max(delays) * 1000:.1f} ms after the status was sent, at worst of 10")
    assert max(delays) <= 0.1


async def test_f49_an_outage_under_load(cluster, request, figure):
    seconds = request.config.getoption("--outage")
    for name in ("stays", "leaves", "turns"):
        await cluster.pod(name)
    async with gateway(cluster) as app:
        await in_step(app)
        load = Load(app)
        await load.more(50)
        cluster.wire.away()
        await cluster.remove("leaves")
        away = time.monotonic()
        while time.monotonic() - away < seconds:
            await load.more(100)
        assert app.discovery.kubernetes.age() > seconds * 0.9
        assert len(app.registry.serving("m")) == 3
        await cluster.wire.open()
        back = time.monotonic()
        await until(lambda: len(app.registry.serving("m")) == 2)
        took = time.monotonic() - back
        await load.more(50)
        await load.stop()
    failed = sum(status != 200 for status in load.statuses)
    figure(f"{seconds:g} s away, {len(load.statuses)} requests, {failed} failed; in step {took:.2f} s after")
    assert set(load.statuses) == {200}
    assert took < 2


async def test_a_model_is_remembered(cluster):
    await cluster.pod("one")
    async with gateway(cluster, models={"m": {"aliases": ["gpt"]}}) as app:
        await cluster.pod("other", "brief")
        await until(lambda: app.registry.serving("brief"))
        now = round(app.registry.clock())  # whole, so that 600 later is 600 later
        app.registry.clock = lambda: now
        await cluster.remove("other")
        await cluster.remove("one")
        await until(lambda: not (app.registry.models()["brief"] or app.registry.models()["m"]))
        now += 600
        assert (await ask(app, b'{"model": "brief"}')).json()["error"]["message"] == "no ready pods for model brief"
        now += 1
        assert (await ask(app, b'{"model": "brief"}')).status == 404
        assert (await ask(app)).status == 503


async def test_models_named_with_their_namespace(cluster):
    await cluster.pod("one", labels={NAME: "llama"})
    kubernetes = {"enabled": True, "kubeconfig": cluster.through_wire(), "namespaces": [cluster.namespace]}
    app = create_app({"discovery": {"kubernetes": kubernetes | {"model_scope": "namespace"}}})
    app.upstream.plain = engine = FakeUpstream()
    async with app.running():
        await in_step(app)
        name = f"{cluster.namespace}/llama"
        reply = await ask(app, b'{"model": "%s", "prompt": ""}' % name.encode())
        assert reply.status == 200
        assert engine.bodies == [b'{"model": "llama", "prompt": ""}']
        listed = (await ask(app, b"", "/v1/models", method="GET")).json()
        assert [card["id"] for card in listed["data"]] == [name]


def _is_serving(app, flag):
    return bool(app.registry.serving("m")) == flag


async def test_what_operators_see(cluster):
    await cluster.pod("one")
    async with gateway(cluster) as app:
        await in_step(app)
        for flag in (False, True, False):
            await cluster.set_ready("one", flag)
            await until(partial(_is_serving, app, flag))
        cluster.wire.away()
        await until(lambda: app.discovery.kubernetes.age() > 0)
        text = (await ask(app.admin, b"", "/metrics", method="GET")).body.decode()
        status = (await ask(app.admin, b"", "/status.json", method="GET")).json()
    assert 'aibrix_gateway_pod_readiness_transitions_total{model="m",to="not_ready"} 2.0' in text
    assert 'aibrix_gateway_pod_readiness_transitions_total{model="m",to="ready"} 1.0' in text
    assert 'aibrix_gateway_flapping_pods{model="m"} 1.0' in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["aibrix_gateway_discovery_age_seconds"]) > 0
    assert float(values["aibrix_gateway_discovery_errors_total"]) >= 1
    assert status["models"]["m"]["pods"][0]["flapping"] is True
    assert status["ready"] is True
    assert any("cannot be reached" in fault["reason"] for fault in status["faults"])
