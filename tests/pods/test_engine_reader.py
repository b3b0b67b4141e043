"""From an engine's text to what strategies look at."""

import pytest

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.engine_names import ENGINE_NAMES, SOURCES
from aibrix_mw.pods.scraper import EngineReader


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
