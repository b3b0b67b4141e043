"""The scraper: who is asked, how often, and what becomes of the answers."""

import asyncio
import itertools
from random import Random

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.engine_names import ENGINE_NAMES, SOURCES
from aibrix_mw.pods.scraper import AT_ONCE, LONGEST_PAUSE, EngineReader, Scraper
from tests.support import info, registry_of, settle

KV = frozenset({"kv_cache_usage"})
TEXT = b"vllm:kv_cache_usage_perc 0.25\n"


class Time:
    """A clock whose sleepers wake when the test says so."""

    def __init__(self):
        self.now = 0.0
        self.sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.Event()
        self.sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds):
        until = self.now + seconds
        await settle(20)
        while self.sleepers and min(at for at, _ in self.sleepers) <= until:
            self.sleepers.sort(key=lambda sleeper: sleeper[0])
            self.now, woken = self.sleepers.pop(0)
            woken.set()
            await settle(20)
        self.now = until


class Engines:
    """Answers by address; notes who was asked when."""

    def __init__(self, time, answers=None):
        self.time = time
        self.answers = answers or {}
        self.asked = []

    async def __call__(self, address, path):
        self.asked.append((self.time.now, address.netloc, path))
        answer = self.answers.get(address.host, TEXT)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return TEXT
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, number):
        return [at for at, netloc, _ in self.asked if netloc == f"10.0.0.{number}:8000"]


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def engines(time):
    return Engines(time)


class Running:
    """A scraper at work, for a `with` block."""

    def __init__(self, registry, engines, needs=lambda _model: KV, **options):
        self.scraper = Scraper(
            registry, engines, needs, clock=engines.time, sleep=engines.time.sleep, rng=Random(1), **options
        )

    async def __aenter__(self):
        self._task = asyncio.ensure_future(self.scraper.run())
        return self.scraper

    async def __aexit__(self, *error):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert all(loop.done() for loop in self.scraper._loops.values())


async def test_every_pod_once_an_interval(time, engines):
    registry = registry_of(*[info(number) for number in range(1, 6)])
    async with Running(registry, engines):
        await time.pass_(10.5)
    for number in range(1, 6):
        times = engines.times(number)
        assert 9 <= len(times) <= 11
        assert all(0.9 < later - earlier < 1.1 for earlier, later in itertools.pairwise(times))
    firsts = [engines.times(number)[0] for number in range(1, 6)]
    assert len(set(firsts)) == 5  # spread over the interval
    assert all(0 <= at < 1 for at in firsts)


async def test_what_an_engine_says_is_the_pods_until_it_is_old(time, engines):
    registry = registry_of(info(1))
    (pod,) = registry.serving("m")
    async with Running(registry, engines):
        await time.pass_(1.0)
        (told,) = [pod.metrics for pod in registry.serving("m")]
        assert told is not None
        assert told.kv_cache_usage == 0.25
        assert told.expires == pytest.approx(engines.times(1)[-1] + 3.0)
        engines.answers["10.0.0.1"] = UpstreamError("gone", "connect")
        await time.pass_(5.0)
    assert pod.metrics is told
    assert told.expires < time.now


async def test_where_and_under_which_names_each_engine_is_asked(time, engines):
    engines.answers = {"10.0.0.2": b'sglang:token_usage{a="b"} 0.5\n', "10.0.0.3": b"trtllm_kv_cache_utilization 0.75"}
    registry = registry_of(
        info(1, metric_port=9100), info(2, engine="sglang"), info(3, engine="trtllm"), info(4, excluded="not_ready")
    )
    async with Running(registry, engines):
        await time.pass_(1.0)
    assert {(netloc, path) for _, netloc, path in engines.asked} == {
        ("10.0.0.1:9100", b"/metrics"),
        ("10.0.0.2:8000", b"/metrics"),
        ("10.0.0.3:8000", b"/prometheus/metrics"),
    }
    assert [pod.metrics.kv_cache_usage for pod in registry.serving("m")] == [0.25, 0.5, 0.75]


async def test_without_a_strategy_that_looks_nobody_is_asked(time, engines):
    needs = {"m": frozenset()}
    registry = registry_of(info(1))
    async with Running(registry, engines, needs.__getitem__) as scraper:
        await time.pass_(3.0)
        assert engines.asked == []
        needs["m"] = KV
        await time.pass_(3.0)
        asked = len(engines.asked)
        assert asked
        needs["m"] = frozenset()
        await time.pass_(3.0)
        assert len(engines.asked) <= asked + 1
        assert scraper._loops == scraper._readers == {}


async def test_a_strategy_that_needs_more_gets_more(time, engines):
    needs = {"m": KV}
    engines.answers["10.0.0.1"] = TEXT + b"vllm:num_requests_running 3\n"
    registry = registry_of(info(1))
    (pod,) = registry.serving("m")
    async with Running(registry, engines, needs.__getitem__):
        await time.pass_(2.0)
        assert (pod.metrics.kv_cache_usage, pod.metrics.running) == (0.25, None)
        needs["m"] = frozenset({"running"})
        await time.pass_(2.0)
        assert pod.metrics.running == 3


async def test_pods_that_come_and_go(time, engines):
    registry = registry_of(info(1))
    async with Running(registry, engines):
        await time.pass_(2.0)
        registry.put("test", info(2))
        registry.remove("test", "uid-1")
        gone = time.now
        await time.pass_(3.0)
    assert engines.times(2)
    assert max(engines.times(1)) <= gone + 1.0


async def test_a_slow_engine_delays_no_other(time, engines):
    engines.answers["10.0.0.1"] = asyncio.Event()
    registry = registry_of(info(1), info(2))
    async with Running(registry, engines):
        await time.pass_(10.0)
        assert len(engines.times(1)) == 1
        assert len(engines.times(2)) >= 9
        engines.answers["10.0.0.1"].set()
        await time.pass_(1.5)
        assert registry.serving("m")[0].metrics is not None


async def test_dead_engines_hold_no_place_that_others_need(time, engines):
    """More of them than may be asked at once."""
    never = asyncio.Event()
    infos = [info(number) for number in range(1, 255)]
    engines.answers = {pod.address.host: never for pod in infos[: AT_ONCE - 6]}
    registry = registry_of(*infos)
    async with Running(registry, engines):
        await time.pass_(3.0)
    assert all(len(engines.times(number)) >= 2 for number in range(AT_ONCE - 5, 255))


async def test_an_engine_that_fails_is_asked_ever_less_often(time, engines, caplog):
    caplog.set_level("INFO")
    engines.answers["10.0.0.1"] = UpstreamError("the engine cannot be reached", "connect")
    registry = registry_of(info(1))
    async with Running(registry, engines) as scraper:
        await time.pass_(200.0)
        pauses = [later - earlier for earlier, later in zip(engines.times(1), engines.times(1)[1:], strict=False)]
        assert [round(pause) for pause in pauses[:4]] == [2, 4, 8, 16]
        assert all(pause <= LONGEST_PAUSE * 1.05 for pause in pauses)
        assert len(scraper.failing) == 1
        engines.answers.clear()
        await time.pass_(40.0)
        assert scraper.failing == {}
    assert [record.message for record in caplog.records] == [
        "pod ns/pod-1, model m: no metrics: the engine cannot be reached",
        "pod ns/pod-1, model m: metrics are back",
    ]


class Half:
    """A replica that owns only some pods, and keeps what it tells the others."""

    def __init__(self, *owned):
        self.owned = owned
        self.told = []

    def owns(self, pod):
        return pod.uid in self.owned

    def publish(self, pod, metrics):
        self.told.append((pod.uid, metrics.kv_cache_usage))


async def test_replicas_may_share_the_work(time, engines):
    sharing = Half("uid-2")
    async with Running(registry_of(info(1), info(2)), engines, sharing=sharing):
        await time.pass_(1.0)
    assert {netloc for _, netloc, _ in engines.asked} == {"10.0.0.2:8000"}
    assert sharing.told == [("uid-2", 0.25)]


# --- reading


def test_every_field_has_its_sources():
    assert SOURCES.keys() == set(EngineMetrics.__struct_fields__) - {"expires"}
    quantities = {key for names in ENGINE_NAMES.values() for table in names[1:] for key in table}
    assert set().union(*SOURCES.values()) <= quantities


def test_only_what_is_needed_is_looked_for():
    reader = EngineReader("vllm", frozenset({"kv_cache_usage"}))
    assert reader._series.names == {b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"}


def test_ranks_add_up_or_count_by_their_mean():
    text = b"".join(
        b'vllm:num_requests_running{engine="%d"} %d\nvllm:kv_cache_usage_perc{engine="%d"} 0.%d\n' % (n, n, n, n)
        for n in (2, 4)
    )
    text = b"\n".join(sorted(text.split(b"\n")))
    report = EngineReader("vllm", frozenset({"running", "kv_cache_usage"})).read(text, 0.0, 3.0)
    assert report.running == 6.0
    assert report.kv_cache_usage == pytest.approx(0.3)


def test_an_older_name_is_taken_where_the_newer_one_is_missing():
    reader = EngineReader("vllm", frozenset({"kv_cache_usage", "gpu_cache_usage", "cpu_cache_usage"}))
    old = b"vllm:gpu_cache_usage_perc 0.5\nvllm:cpu_cache_usage_perc 0.1\n"
    report = reader.read(old, 0.0, 3.0)
    assert (report.kv_cache_usage, report.gpu_cache_usage, report.cpu_cache_usage) == (0.5, 0.5, 0.1)


def engine_text(requests, seconds):
    """What a vLLM says after so many requests of 100 prompt tokens and 50 generated ones."""
    series = {
        "prompt_tokens_total": 100,
        "generation_tokens_total": 50,
        "prefix_cache_hits_total": 25,
        "request_queue_time_seconds": 0.5,
        "request_prefill_time_seconds": 0.3,
        "request_decode_time_seconds": 2.0,
        "request_prompt_tokens": 100,
        "request_generation_tokens": 50,
    }
    lines = [f'vllm:{name}{{m="x"}} {by * requests}' for name, by in series.items() if name.endswith("_total")]
    for name, by in series.items():
        if not name.endswith("_total"):
            lines += [f"vllm:{name}_sum {by * requests}", f"vllm:{name}_count {requests}", f"vllm:{name}_created 1"]
    return "\n".join(lines).encode()


def test_a_worked_example_from_text_to_report():
    reader = EngineReader("vllm", frozenset(SOURCES))
    reader.read(engine_text(1000, 0), 0.0, 3.0)
    report = reader.read(engine_text(1010, 10), 10.0, 13.0)
    assert (report.prompt_tokens_rate, report.generation_tokens_rate) == (100.0, 50.0)
    assert report.queue_seconds == pytest.approx(0.5)
    assert report.prefill_seconds == pytest.approx(0.003)
    assert report.uncached_prefill_seconds == pytest.approx(0.004)
    assert report.decode_seconds == pytest.approx(0.04)
    assert report.generation_tokens == pytest.approx(50)
