"""The scraper: who is asked, how often, and what becomes of the answers."""

import asyncio
import itertools
from random import Random

import pytest

from aibrix_mw.errors import UpstreamError
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.scraper import AT_ONCE, LONGEST_PAUSE, Scraper
from tests.pods.timed import TEXT, Engines, Time
from tests.support import info, registry_of

KV = frozenset({"kv_cache_usage"})


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
    """Shares with replicas that ask for all but one pod."""

    def __init__(self, owned):
        self.owned = owned
        self.changed = lambda: None

    def share(self, wanted):
        return {pod: fields for pod, fields in wanted.items() if pod.uid == self.owned}


async def test_replicas_may_share_the_work(time, engines):
    sharing = Half("uid-2")
    async with Running(registry_of(info(1), info(2)), engines, sharing=sharing):
        await time.pass_(3.0)
        assert {netloc for _, netloc, _ in engines.asked} == {"10.0.0.2:8000"}
        sharing.owned = "uid-1"
        sharing.changed()
        engines.asked.clear()
        await time.pass_(0.9)
    assert {netloc for _, netloc, _ in engines.asked} == {"10.0.0.1:8000"}
    sharing.owned = "uid-2"
    sharing.changed()  # nobody follows any more


async def test_who_takes_over_goes_on_with_what_is_known(time, engines):
    """Means and rates are those of the other reader until the own window has been long enough."""
    fields = frozenset({"generation_tokens_rate", "prompt_tokens_rate", "queue_seconds"})
    registry = registry_of(info(1), info(2))
    for pod in registry.serving("m"):
        pod.metrics = EngineMetrics(expires=3.0 if pod.uid == "uid-1" else 0.0, generation_tokens_rate=100.0)
    engines.answers = {f"10.0.0.{number}": b"vllm:generation_tokens_total 7\n" for number in (1, 2)}
    async with Running(registry, engines, lambda _model: fields):
        await time.pass_(1.0)
        known, stale = (pod.metrics for pod in registry.serving("m"))
    assert (known.generation_tokens_rate, known.prompt_tokens_rate) == (100.0, None)
    assert stale.generation_tokens_rate is None
