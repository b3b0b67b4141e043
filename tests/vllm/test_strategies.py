"""Strategies over what real engines report: the scraper's names, and the prefix cache's own counters."""

import httpx
import pytest

from aibrix_mw.pods.engine_names import VLLM
from aibrix_mw.pods.exposition import SeriesReader
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.scraper import EngineReader, Scraper
from aibrix_mw.pods.static import endpoint_pods
from aibrix_mw.upstream.fetch import Fetch
from aibrix_mw.upstream.http1 import Http1Upstream
from tests.vllm.processes import MODEL, Engine, Gateway, eventually

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("engines")]

FIELDS = frozenset(
    {
        *("running", "waiting", "kv_cache_usage", "busy_share", "prompt_tokens_rate", "generation_tokens_rate"),
        *("queue_seconds", "prefill_seconds", "uncached_prefill_seconds", "decode_seconds", "generation_tokens"),
    }
)
ON_NO_CURRENT_VERSION = {b"vllm:gpu_cache_usage_perc", b"vllm:cpu_cache_usage_perc", b"gpu_busy_time_ratio"}


def first_names() -> set[bytes]:
    """The names of every quantity as the current version has them, histograms by their sums."""
    gauges = {names[0] for table in (VLLM.totals, VLLM.shares, VLLM.counters) for names in table.values()}
    return (gauges - ON_NO_CURRENT_VERSION) | {names[0] + b"_sum" for names in VLLM.histograms.values()}


async def complete(http: httpx.AsyncClient, prompt: str, **headers: str) -> httpx.Response:
    body = {"model": MODEL, "prompt": prompt, "max_tokens": 8, "temperature": 0.0}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await http.post("/v1/completions", json=body, headers=named)
    assert answer.status_code == 200, answer.text
    return answer


async def test_the_scraper_reads_every_series_that_it_names(
    engines: list[Engine], http: httpx.AsyncClient, report: dict[str, str]
):
    upstream = Http1Upstream()
    registry = PodRegistry()
    registry.replace("test", endpoint_pods(MODEL, [engine.url for engine in engines]))
    scraper = Scraper(registry, Fetch(upstream, 5.0), lambda _model: FIELDS, interval=1.0)
    pods = registry.serving(MODEL)
    try:
        for pod in pods:
            text = await scraper.fetch(pod.address, VLLM.path)
            assert first_names() - SeriesReader(first_names()).read(text).keys() == set()
            scraper._readers[pod] = EngineReader("vllm", FIELDS)
            assert await scraper.scrape(pod)
        for number in range(8):
            await complete(http, f"{number} says hello to " * 30, routing_strategy="least-request")
        for pod in pods:
            assert await scraper.scrape(pod)
    finally:
        await upstream.aclose()
    for pod in pods:
        assert pod.metrics is not None
        missing = {field for field in FIELDS if getattr(pod.metrics, field) is None}
        assert missing == set()
    told = pods[0].metrics
    assert told is not None
    assert told.prefill_seconds is not None
    assert told.decode_seconds is not None
    report["an engine's own word, scraped"] = (
        f"{told.prefill_seconds * 1e6:.0f} us a prompt token, {told.decode_seconds * 1e3:.1f} ms an output token, "
        f"{told.generation_tokens:.0f} tokens an answer"
    )


async def test_repeats_go_to_the_engine_that_holds_the_prefix(
    engines: list[Engine], http: httpx.AsyncClient, report: dict[str, str]
):
    """Eight conversations of three turns: every turn after the first hits the cache of its engine."""
    before = {engine.address: await hits(engine) for engine in engines}
    places: dict[int, list[str]] = {}
    expected = dict.fromkeys(before, 0)
    for turn in range(3):
        for number in range(8):
            prompt = f"conversation {number}: " + "once upon a time there was " * (40 + 10 * turn)
            answer = await complete(http, prompt, routing_strategy="prefix-cache")
            places.setdefault(number, []).append(answer.headers["target-pod-ip"])
            if turn:
                expected[answer.headers["target-pod-ip"]] += 1
    assert {len(set(of_one)) for of_one in places.values()} == {1}
    grown = {engine.address: await hits(engine) - before[engine.address] for engine in engines}
    for address, turns in expected.items():
        assert grown[address] >= turns * 128, "a turn without a block of its prefix from the cache"
    report["prefix-cache, 8 conversations of 3 turns"] = (
        f"each stays on its engine; {sum(grown.values()):.0f} prompt tokens from the engines' caches"
    )


async def hits(engine: Engine) -> float:
    return await engine.metric("vllm:prefix_cache_hits_total")


@pytest.mark.parametrize("strategy", ["least-latency", "throughput", "least-kv-cache", "least-busy-time"])
async def test_a_strategy_that_clients_ask_for_gets_its_data(strategy: str, http: httpx.AsyncClient, gateway: Gateway):
    """The first request finds none and says so; a few seconds later there is some."""
    await complete(http, "hello " * 20, routing_strategy=strategy)

    async def decides() -> bool:
        fallbacks = await gateway.metric("aibrix_gateway_strategy_fallback_total", strategy=strategy)
        await complete(http, "hello " * 20, routing_strategy=strategy)
        return await gateway.metric("aibrix_gateway_strategy_fallback_total", strategy=strategy) == fallbacks

    await eventually(decides, f"{strategy} decides by itself", seconds=20)
