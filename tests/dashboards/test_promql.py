"""PromQL from families."""

from aibrix_mw.dashboards import engines
from aibrix_mw.dashboards.promql import Scope, ask, everywhere, one_of, share
from aibrix_mw.telemetry.families import FIRST_BYTE, READY_PODS, REQUESTS, STORE_ERRORS

plain = Scope(window="5m")


def test_a_board_asks_for_what_its_variables_choose():
    gateways = 'namespace=~"$namespace", job=~"$job"'
    assert ask.select(STORE_ERRORS) == f"{STORE_ERRORS}{{{gateways}}}"
    assert ask.select(REQUESTS, 'code="429"') == f'{REQUESTS}{{{gateways}, model=~"$model", code="429"}}'


def test_a_rule_asks_for_all():
    assert everywhere.select(REQUESTS) == "aibrix_gateway_requests_total"
    assert everywhere.rate(REQUESTS, "model") == "sum by (model) (rate(aibrix_gateway_requests_total[5m]))"


def test_kinds_of_questions():
    assert plain.rate(REQUESTS, "", window="1h") == f"sum by () (rate({REQUESTS}[1h]))"
    assert plain.events(FIRST_BYTE, "model") == f"sum by (model) (rate({FIRST_BYTE}_count[5m]))"
    assert plain.quantile(0.5, FIRST_BYTE) == f"histogram_quantile(0.5, sum by (le) (rate({FIRST_BYTE.bucket}[5m])))"
    assert f"sum by (model, le) (rate({FIRST_BYTE.bucket}[5m]))" in plain.quantile(0.99, FIRST_BYTE, "model")
    assert plain.mean(FIRST_BYTE, "model") == (
        f"sum by (model) (rate({FIRST_BYTE}_sum[5m])) / sum by (model) (rate({FIRST_BYTE}_count[5m]))"
    )
    assert plain.fact(READY_PODS, "model") == f"max by (model) ({READY_PODS})"
    assert plain.work(READY_PODS, "model", 'a="b"') == f'sum by (model) ({READY_PODS}{{a="b"}})'


def test_shares():
    assert share("a", "b") == "(a or 0 * b) / (b > 0)"
    assert one_of("outcome", "ok", "limited") == 'outcome=~"ok|limited"'


def test_engines_by_their_own_names():
    assert engines.gauge("kv_cache_usage", 'a="b"') == (
        '{__name__=~"vllm:kv_cache_usage_perc|vllm:gpu_cache_usage_perc|sglang:token_usage|trtllm_kv_cache_utilization",'
        ' a="b"}'
    )
    assert engines.total("waiting").endswith('({__name__=~"vllm:num_requests_waiting|sglang:num_queue_reqs"})')
    assert "vllm:request_queue_time_seconds_bucket{" in engines.quantile(0.95, "queue", "pod")
    assert "rate(vllm:prompt_tokens_total{" in engines.rate("prompt_tokens", "pod")
