import json
from pathlib import Path

import pytest
import yaml

from aibrix_mw.sizing.estimate import Estimate
from aibrix_mw.sizing.report import as_text, formula, seconds, values
from aibrix_mw.sizing.search import Bracket
from aibrix_mw.sizing.sizes import Size, Want
from aibrix_mw.sizing.verdict import Bounds
from tests.sizing.results import document, measured

ROOT = Path(__file__).parents[2]


def test_the_report_says_it_all():
    text = as_text(document(Want(target_rps=50.0, gpu_cost=2.0)))
    assert "m<1> at http://127.0.0.1:8000: 100 prompt tokens" in text
    assert "alone: first token p95 0.21 s, time per output token p95 60.0 ms" in text
    assert "bounds: first token p95 0.42 s, time per output token p95 0.12 s, errors under 1 %" in text
    assert "sustainable: 20.4 requests/s, confirmed; 95 % confidence interval 19 to 22" in text
    assert "beyond it: first token p95 0.9 s is above its bound of 0.42 s" in text
    assert "load generator: at most 2.0 ms late (p95), 20 % of a core" in text
    assert "replicas = ceil(target / (sustainable x margin)) = ceil(50 / (20.4 x 0.65)) = ceil(3.77) = 4" in text
    assert "cost: 8.00 an hour; at 50 requests/s 4.04 per million output tokens, 0.40 per million tokens" in text
    assert "advises" not in text


def test_the_table_is_in_the_order_of_rates():
    lines = [line.split() for line in as_text(document()).splitlines()]
    rates = [line[0] for line in lines if line and line[0] in ("20", "22")]
    assert rates == ["20", "22"]
    (row,) = (line for line in lines if line and line[0] == "22")
    assert row[-3:] == ["no:", "first", "token"]
    assert row[4:7] == [">=", "0.9", "s"]


def test_two_roles():
    text = as_text(document(prefill=measured(), decode=measured(Estimate(10.0, 9.0, 11.0))))
    assert text.index("[prefill]") < text.index("[decode]")
    assert "prefill replicas = ceil(target / (sustainable x margin)) = ceil(50 / (20.4 x 0.65))" in text
    assert "decode replicas = ceil(target / (sustainable x margin)) = ceil(50 / (10 x 0.65)) = ceil(7.69) = 8" in text


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (measured(end="interrupted"), "PARTIAL: interrupted before the end"),
        (measured(end="limit", message="At 5 requests/s"), "STOPPED by a limit. At 5 requests/s"),
        (measured(end="limit"), "sustainable: at least 20.4 requests/s; what it would be beyond is not known"),
        (measured(end="generator"), "replicas: no answer, since what a replica sustains is not known"),
        (measured(None, bracket=Bracket(None, 0.5)), "sustainable: not even 0.5 requests/s"),
        (measured(None, bracket=Bracket(None, None), tried=(), reason=None), "sustainable: unknown"),
        (measured(None), "replicas: no answer, since what a replica sustains is not known"),
        (measured(Estimate(9.0, 8.0, None)), "at least 9 requests/s, the highest rate that was tried"),
        (measured(bracket=Bracket(20.0, 22.0)), "20.4 requests/s, not confirmed"),
        (measured(bounds=Bounds(0.4)), "time per output token p95 none"),
    ],
)
def test_special_ends(run, says):
    assert says in as_text(document(replica=run))


def test_a_margin_that_the_guide_does_not_advise():
    assert "advises a margin of 0.6 to 0.7" in as_text(document(Want(target_rps=50.0, margin=0.9)))


def test_times():
    assert [seconds(None), seconds(0.0123), seconds(1.234)] == ["-", "12.3 ms", "1.23 s"]


def test_a_formula_line():
    assert formula("replica", Size(10.0, 6.5, 2), Want(target_rps=13.0)).endswith(
        "= ceil(13 / (10 x 0.65)) = ceil(2) = 2"
    )


def test_values_for_the_chart():
    assert yaml.safe_load(values(document().answer)) == {
        "sizing": {"targetRps": 50, "sustainableRpsPerReplica": 20.4, "margin": 0.65}
    }
    both = yaml.safe_load(values(document(prefill=measured(), decode=measured()).answer))
    assert both["disaggregation"]["decode"]["sizing"]["sustainableRpsPerReplica"] == 20.4
    assert list(both["disaggregation"]) == ["prefill", "decode"]


def test_the_chart_knows_these_values():
    definitions = json.loads((ROOT / "chart" / "values.schema.json").read_text())["$defs"]
    assert yaml.safe_load(values(document().answer))["sizing"].keys() == definitions["sizing"]["properties"].keys()
    assert "sizing" in definitions["role"]["properties"]
    assert {"prefill", "decode"} <= definitions["model"]["properties"]["disaggregation"]["properties"].keys()
