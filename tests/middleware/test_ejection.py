"""What the routing middleware learns of pods from requests (F26 to F31, F33), and what it tells strategies."""

import asyncio

import pytest

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from aibrix_mw.outcome import Outcome
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.scope import LEASE
from tests.middleware.test_routing import Noting, inner, routed
from tests.support import SSE_HEADERS, STREAM_BODY, Client, Clock, FakeAnswer, Running, ask, info, registry_of, settle

FAILURES = {
    "connect": lambda: UpstreamError("x", "connect"),
    "reset": lambda: UpstreamError("x", "reset"),
    "malformed": lambda: UpstreamError("x", "malformed"),
    "502": lambda: FakeAnswer(b"x", status=502),
    "503": lambda: FakeAnswer(b"x", status=503),
    "timeout": lambda: UpstreamTimeout("response_timeout"),
    "idle timeout": lambda: FakeAnswer(b"data: 1\n\n", UpstreamTimeout("idle_timeout"), headers=SSE_HEADERS),
}
OTHERS = {
    "200": lambda: FakeAnswer(b"{}"),
    "400": lambda: FakeAnswer(b"{}", status=400),
    "404": lambda: FakeAnswer(b"{}", status=404),
    "429": lambda: FakeAnswer(b"{}", status=429),
    "500": lambda: FakeAnswer(b"{}", status=500),
    "broken off": lambda: FakeAnswer(b"data: 1\n\n", UpstreamError("x", "reset"), headers=SSE_HEADERS),
}


def from_pod(number, make):
    """A script: this pod does so, all others answer."""
    return lambda request: make() if request.address.host == f"10.0.0.{number}" else FakeAnswer(b"{}")


class Gateway(Running):
    """A gateway whose ejections go by a clock in the test's hand; one attempt, in turn over the pods."""

    def __init__(self, script, pods=4, **settings):
        super().__init__(script, pods=pods, routing={"attempts": 1, "default_strategy": "random"}, **settings)
        self.clock = self.gateway.choosing.admission.ejection.clock = Clock(0.0)

    @property
    def ejected(self):
        return [pod.info.name for pod in self.gateway.choosing.admission.ejection.ejected()]

    async def ask_pod(self, number, times=1, **options):
        """Requests that only this pod can take."""
        headers = [(b"external-filter", b"n=%d" % number)]
        return [await self.ask(headers=headers, **options) for _ in range(times)]


def labelled(count):
    return [info(number, labels={"n": str(number)}) for number in range(1, count + 1)]


@pytest.mark.parametrize("kind", FAILURES)
async def test_what_counts_against_a_pod(kind):
    """F26, F27: after five of these the pod is chosen for none of 200 requests."""
    async with Gateway(from_pod(1, FAILURES[kind]), labelled(4)) as gateway:
        await gateway.ask_pod(1, 4)
        assert gateway.ejected == []
        await gateway.ask_pod(1)
        assert gateway.ejected == ["pod-1"]
        gateway.upstream.requests.clear()
        for _ in range(200):
            assert (await gateway.ask()).status == 200
        assert "10.0.0.1" not in gateway.upstream.hosts
        excluded = await gateway.counted("aibrix_gateway_excluded_pods", "reason")
        assert excluded == {("ejected",): 1}


@pytest.mark.parametrize("kind", OTHERS)
async def test_what_never_does(kind):
    """F31."""
    async with Gateway(from_pod(1, OTHERS[kind]), labelled(4)) as gateway:
        await gateway.ask_pod(1, 100)
        assert gateway.ejected == []


async def test_an_answer_in_between_starts_anew():
    failing = [True] * 4 + [False] + [True] * 4
    async with Gateway(
        from_pod(1, lambda: FAILURES["reset"]() if failing.pop() else FakeAnswer(b"{}")), labelled(4)
    ) as gateway:
        await gateway.ask_pod(1, 9)
        assert gateway.ejected == []


async def test_one_probe_and_what_comes_of_it():
    """F26, F29: the probe fails, then the next one succeeds with its first byte."""
    step = {"now": FAILURES["reset"]}
    async with Gateway(from_pod(1, lambda: step["now"]()), labelled(4)) as gateway:
        await gateway.ask_pod(1, 5)
        gateway.clock.now = 30.0
        gateway.upstream.requests.clear()
        for _ in range(100):
            await gateway.ask()
        assert gateway.upstream.hosts.count("10.0.0.1") == 1
        gateway.clock.now = 89.0
        gateway.upstream.requests.clear()
        for _ in range(100):
            await gateway.ask()
        assert "10.0.0.1" not in gateway.upstream.hosts
        gateway.clock.now = 91.0
        going = asyncio.Event()
        step["now"] = lambda: FakeAnswer(b"data: 1\n\n", going, b"", headers=SSE_HEADERS)
        stream = Client(gateway.gateway, STREAM_BODY, headers=[(b"external-filter", b"n=1")]).start()
        await settle(20)
        assert gateway.ejected == []
        going.set()
        await stream


async def test_a_probe_whose_client_leaves_or_that_crashes_is_none():
    def crash():
        raise ValueError("bug")

    step = {"now": FAILURES["reset"]}
    async with Gateway(from_pod(1, lambda: step["now"]()), labelled(4)) as gateway:
        await gateway.ask_pod(1, 5)
        gateway.clock.now = 31.0
        step["now"] = crash
        with pytest.raises(ValueError, match="bug"):
            await gateway.ask_pod(1)
        (pod,) = (pod for pod in gateway.registry.serving("m") if pod.info.name == "pod-1")
        assert pod in gateway.gateway.choosing.admission.admit(gateway.registry.serving("m"))


async def test_most_pods_fail():
    """F28: 5 of 8; 4 are ejected, and the fifth stays in."""

    def script(request):
        return FAILURES["connect"]() if int(request.address.host.rpartition(".")[2]) <= 5 else FakeAnswer(b"{}")

    async with Gateway(script, 8) as gateway:
        for _ in range(400):
            await gateway.ask()
        assert len(gateway.ejected) == 4
        gateway.upstream.requests.clear()
        for _ in range(200):
            await gateway.ask()
        assert len(set(gateway.upstream.hosts)) == 4


async def test_simultaneous_failures():
    """F30: 50 requests under way on a pod that dies are one ejection."""
    die = asyncio.Event()

    def script(_request):
        return FAILURES["reset"]() if die.is_set() else die

    async with Gateway(script, labelled(2)) as gateway:
        tasks = [asyncio.ensure_future(gateway.ask_pod(1)) for _ in range(50)]
        await settle(50)
        die.set()
        await asyncio.gather(*tasks)
        health = next(iter(gateway.gateway.choosing.admission.ejection._health.values()))
        assert health.ejections == 1


async def test_two_tries_on_the_only_pod_count_once():
    registry = registry_of(info(1))
    ejection = Ejection(consecutive_failures=2, max_share=1.0)
    admission = Admission(registry, ejection)

    async def broken(scope, receive, send):
        raise UpstreamError("x", "reset")

    await ask(routed(broken, Noting(), attempts=2, admission=admission, registry=registry))
    assert [health.failures for health in ejection._health.values()] == [1]


async def test_settings_reach_it():
    ejection = {"consecutive_failures": 1, "base": 7, "cap": 9, "max_share": 1}
    async with Gateway(from_pod(1, FAILURES["reset"]), labelled(2), ejection=ejection) as gateway:
        await gateway.ask_pod(1)
        assert gateway.ejected == ["pod-1"]
        for base in (7.0, 9.0):
            (health,) = gateway.gateway.choosing.admission.ejection._health.values()
            assert health.until == gateway.clock.now + base
            gateway.clock.now += base
            await gateway.ask_pod(1)


async def test_a_new_pod_gets_little_at_first():
    """F33: at most 15 % of the first second's requests."""
    async with Gateway(None, 0) as gateway:
        clock = gateway.registry.clock = gateway.gateway.choosing.admission.slow_start.clock = Clock(0.0)
        gateway.registry.replace("k", [info(number) for number in range(1, 5)])
        gateway.registry.put("k", info(5))
        clock.now = 0.5
        for _ in range(200):
            await gateway.ask()
        assert 0 < gateway.upstream.hosts.count("10.0.0.5") <= 30


# --- what is measured on the way


async def test_prompt_tokens_wait_for_the_first_byte():
    head, rest = asyncio.Event(), asyncio.Event()
    body = b'{"model": "m", "stream": true, "prompt": "%s"}' % (b"x" * 398)
    async with Running(lambda _: FakeAnswer(head, b"data: 1\n\n", rest, b""), pods=1) as running:
        (pod,) = running.registry.serving("m")
        task = Client(running.gateway, body).start()
        await settle(20)
        assert (pod.in_flight, pod.outstanding_tokens) == (1, 100)
        head.set()
        await settle(20)
        assert (pod.in_flight, pod.outstanding_tokens) == (1, 0)
        assert pod.latency.first_token.read(0.0) is not None
        rest.set()
        await task
        assert pod.in_flight == 0


async def test_an_answer_that_is_no_stream_is_not_measured():
    async with Running(pods=1) as running:
        await running.ask()
        (pod,) = running.registry.serving("m")
        assert pod.latency.first_token.read(0.0) is None


async def test_tokens_of_a_stream_are_timed():
    outcome = Outcome(name="ok", status=200, first_byte=10.0, last_byte=12.0, completion_tokens=101)
    client = Client(routed(inner(outcome), Noting(), body=STREAM_BODY))
    await client.ask()
    latency = LEASE.require(client.scope).pod.latency
    assert latency.output_token.read(0.0) == pytest.approx(0.02)


async def test_how_much_of_the_prompt_was_cached_is_counted():
    body = b'{"model": "m", "prompt": "%s"}' % (b"x" * 1000)
    async with Running(pods=1, routing={"default_strategy": "prefix-cache"}) as running:
        for _ in range(3):
            await running.ask(body)
        counted = await running.counted("aibrix_gateway_prefix_match_ratio_bucket", "model", "le")
        assert (counted["m", "0"], counted["m", "0.9"], counted["m", "1"]) == (1, 1, 3)
