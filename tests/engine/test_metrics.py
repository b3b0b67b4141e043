import pytest
from prometheus_client.parser import text_string_to_metric_families

from aibrix_mw.engine.metrics import COUNTERS, GAUGES, HISTOGRAMS, EngineMetrics

ZERO = dict.fromkeys(GAUGES, 0.0)


def samples(text):
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return families, {
        (s.name, s.labels.get("le") or s.labels.get("finished_reason")): s.value
        for f in families.values()
        for s in f.samples
    }


def test_a_prometheus_parser_reads_every_family():
    families, _ = samples(EngineMetrics("m").render(ZERO))
    expected = {name.removesuffix("_total") for name in (*GAUGES, *COUNTERS, *HISTOGRAMS)}
    assert set(families) == expected
    assert {f.type for f in families.values()} == {"gauge", "counter", "histogram"}
    assert all(
        s.labels["model_name"] == "m" and s.labels["engine"] == "0" for f in families.values() for s in f.samples
    )


def test_values():
    metrics = EngineMetrics("m")
    metrics.add("vllm:generation_tokens_total", 3)
    metrics.add("vllm:request_success_total", 1, 'finished_reason="stop"')
    for value in (0.3, 0.31, 9999):
        metrics.observe("vllm:e2e_request_latency_seconds", value)
    _, values = samples(metrics.render({**ZERO, "vllm:num_requests_running": 2}))
    assert values["vllm:num_requests_running", None] == 2
    assert values["vllm:generation_tokens_total", None] == 3
    assert values["vllm:request_success_total", "stop"] == 1
    assert values["vllm:request_success_total", "abort"] == 0
    bucket = "vllm:e2e_request_latency_seconds_bucket"
    assert [values[bucket, le] for le in ("0.3", "0.5", "7680.0", "+Inf")] == [1, 2, 2, 3]
    assert values["vllm:e2e_request_latency_seconds_count", None] == 3
    assert values["vllm:e2e_request_latency_seconds_sum", None] == pytest.approx(9999.61)


def test_a_model_name_is_escaped():
    families, _ = samples(EngineMetrics('a"b\\c\nd').render(ZERO))
    assert families["vllm:num_requests_running"].samples[0].labels["model_name"] == 'a"b\\c\nd'


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError):
        EngineMetrics("m").add("vllm:nothing")
