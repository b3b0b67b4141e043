"""Rules as Prometheus reads them."""

import re
import subprocess

import pytest
import yaml

from aibrix_mw.dashboards import ALERTS_FILE, files
from aibrix_mw.dashboards.alerts import alerts
from aibrix_mw.dashboards.burn import burn_records
from aibrix_mw.dashboards.rules import Alert, Record, rules_file
from tests.dashboards.prometheus import needs_promtool

ALERT = Alert(
    name="Many",
    expr="a > 1\n  and b",
    hold="1m",
    severity="warning",
    summary="{{ $labels.job }} has many",
    description="{{ $value }}: too many.",
    first_checks=("Look.",),
    labels={"window": "1h"},
)


def test_a_file():
    read = yaml.safe_load(rules_file([Record(name="r", expr="c")], [ALERT], "https://example.org/REFERENCE.md"))
    records, warned = read["groups"]
    assert records["rules"] == [{"record": "r", "expr": "c"}]
    assert warned["rules"] == [
        {
            "alert": "Many",
            "expr": "a > 1\n  and b",
            "for": "1m",
            "labels": {"severity": "warning", "window": "1h"},
            "annotations": {
                "summary": "{{ $labels.job }} has many",
                "description": "{{ $value }}: too many.",
                "runbook_url": "https://example.org/REFERENCE.md#many",
            },
        }
    ]


def test_every_alert_helps_whoever_is_woken():
    for alert in alerts():
        assert re.fullmatch(r"Aibrix(Gateway|Engine)[A-Z]\w+", alert.name)
        assert alert.description.endswith(".")
        assert alert.first_checks
        assert "{{ $" in alert.summary + alert.description


def test_targets_are_in_the_expressions():
    strict = {alert.name + alert.hold: alert for alert in alerts(0.99, 0.5)}
    assert "(14.4 * 0.01)" in strict["AibrixGatewayErrorBudgetBurn2m"].expr
    assert strict["AibrixGatewayFirstTokenSlow10m"].expr.endswith("> 0.5")
    assert "0.5 s" in strict["AibrixGatewayFirstTokenSlow10m"].description


def test_what_is_no_failure_is_no_part_of_a_share():
    for record in burn_records():
        assert 'outcome!="client_cancelled"' in record.expr


@needs_promtool
@pytest.mark.parametrize("options", [{}, {"objective": 0.9995, "first_token": 0.25, "reference": "https://a.org/r"}])
def test_promtool_takes_it(options, tmp_path):
    (tmp_path / "rules.yaml").write_text(files(**options)[ALERTS_FILE])
    command = ["promtool", "check", "rules", "--lint-fatal", "rules.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts()) + len(burn_records())} rules found" in done.stdout
