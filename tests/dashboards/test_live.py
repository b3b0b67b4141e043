"""Every expression against a real Prometheus that has scraped real gateways and engines under traffic."""

import re

import pytest

from aibrix_mw.dashboards import BOARDS
from aibrix_mw.dashboards.alerts import alerts
from aibrix_mw.dashboards.burn import burn_records
from aibrix_mw.telemetry.families import FAMILIES
from tests.dashboards.prometheus import needs_prometheus
from tests.dashboards.stage import Stage, numbers

pytestmark = [needs_prometheus, pytest.mark.slow, pytest.mark.xdist_group("prometheus")]

CHOSEN = {
    **dict.fromkeys(("$namespace", "$job", "$model"), ".*"),
    "$__rate_interval": "1m",
    "$__range_s": "60",
    "$__range": "1m",
}
EXPRESSIONS = [
    pytest.param(board, panel, query, id=f"{board.name}: {panel.title} {at}")
    for board in BOARDS
    for panel in board.panels()
    if not panel.traceql
    for at, query in enumerate(panel.queries)
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage.prometheus
    stage.end()


def filled_in(expr):
    for name, value in CHOSEN.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize(("board", "panel", "query"), EXPRESSIONS)
def test_a_panel_has_data(prometheus, board, panel, query):
    found = prometheus.query(filled_in(query.expr))
    assert found, query.expr
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert all(sample["metric"].get(label) is not None or label == "profile" for sample in found), (label, found)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_variables_have_values(prometheus, board):
    for variable in board.variables:
        if variable.kind == "label":
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", filled_in(variable.query)).groups()
            assert prometheus.query(f"count by ({label}) ({series})")


def test_prometheus_evaluates_every_rule(prometheus):
    rules = [rule for group in prometheus.get("/rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(alerts()) + len(burn_records())
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


NAME = re.compile(r"\b(?:job:)?(?:aibrix_gateway_|vllm:)\w+(?::ratio_\w+)?")


def test_every_name_exists(prometheus):
    known = set(prometheus.get("/label/__name__/values"))
    queries = [param.values[2].expr for param in EXPRESSIONS]
    text = "\n".join([*queries, *(alert.expr for alert in alerts())])
    asked = set(NAME.findall(re.sub(r"{__name__=.*?}", "", text)))
    assert len(asked) > 30
    assert asked - known == set()


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_every_family_is_exported(prometheus, family):
    series = f"{family}_count" if family.kind == "histogram" else family.name
    found = prometheus.query(series)
    assert found
    assert set(family.labels) <= found[0]["metric"].keys() | {"profile"}


def test_traffic_was_mixed(prometheus):
    found = prometheus.query("sum by (outcome) (aibrix_gateway_requests_total)")
    assert {sample["metric"]["outcome"] for sample in found} >= {
        *("ok", "limited", "unknown_model", "no_ready_pods"),
        *("upstream_error", "stream_truncated", "client_cancelled"),
    }


def test_the_operators_labels_hide_none_of_ours(prometheus):
    assert prometheus.query('{__name__=~"aibrix_gateway_.+", exported_pod!=""}') == []
    assert prometheus.query('{__name__=~"aibrix_gateway_.+", exported_namespace!=""}') == []
    found = prometheus.query("aibrix_gateway_pod_ready")
    told = {(sample["metric"]["pod"], sample["metric"]["engine_pod"]) for sample in found}
    assert {pod for pod, _ in told} == {"gateway-0", "gateway-1"}
    assert {engine for _, engine in told} >= {"one", "two", "sick", "odd", "three", "nobody", "dead"}
    assert {sample["metric"]["engine_namespace"] for sample in found} != {"serving"}


def test_facts_of_two_gateways_are_no_sums(prometheus):
    assert numbers(prometheus.query('max(aibrix_gateway_ready_pods{model="my-model"})')) == [3.0]
    assert numbers(prometheus.query("count(aibrix_gateway_store_shared == 1)")) == [2.0]
