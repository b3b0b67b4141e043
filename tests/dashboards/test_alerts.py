"""Every alert, by promtool: it fires, stays quiet on one bad sample, and ends."""

import subprocess
from itertools import accumulate

import pytest
import yaml

from aibrix_mw.dashboards.alerts import alerts
from aibrix_mw.dashboards.burn import burn_records
from aibrix_mw.dashboards.rules import rules_file
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.telemetry.discovery import DiscoveryMetrics
from aibrix_mw.telemetry.families import FLAPPING_PODS
from tests.dashboards.alert_cases import CASES, GATEWAY, MODEL, Case, gauge
from tests.dashboards.prometheus import needs_promtool
from tests.support import Clock, info

pytestmark = needs_promtool


def promtool(folder, name, test, evaluated="15s"):
    """Run a unit test of the alerts of one name, as the package writes them."""
    named = [alert for alert in alerts() if alert.name == name]
    records = burn_records() if "ratio_rate" in named[0].expr else ()
    (folder / "rules.yaml").write_text(rules_file(records, named))
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": evaluated, "tests": [test]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(whole))
    command = ["promtool", "test", "rules", "tests.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def values(signal, troubled):
    """Samples of a series in promtool's notation; `troubled` says of each whether something is wrong."""
    steps = [signal.bad if bad else signal.good for bad in troubled]
    return " ".join(f"{value:g}" for value in (accumulate(steps) if signal.counts else steps))


def firing(case, minute, expected):
    """What is to be firing at a moment."""
    expr = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"{case.labels}}})'
    samples = [{"labels": "{}", "value": 1}] if expected else []
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}


def run(folder, case, troubled, *moments):
    """Play a case; at these minutes its alert is to fire, or not."""
    test = {
        "interval": f"{case.step}s",
        "input_series": [{"series": s.series, "values": values(s, troubled)} for s in case.signals],
        "promql_expr_test": [firing(case, minute, expected) for minute, expected in moments],
    }
    promtool(folder, case.alert, test, f"{case.step if case.step < 60 else 300}s")


def test_every_alert_has_a_case():
    tested = [(case.alert, case.labels) for case in CASES]
    assert len({*tested}) == len(tested)
    assert sorted(alert.name for alert in alerts()) == sorted(name for name, _ in tested)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert + case.labels)
def test_it_fires_and_ends(case, tmp_path):
    troubled = [True] * case.samples(case.bad) + [False] * case.samples(case.good)
    run(tmp_path, case, troubled, (0, False), (case.bad - 1, True), (case.bad + case.good - 1, False))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert + case.labels)
def test_one_sample_is_no_alarm(case, tmp_path):
    lead, after = case.samples(case.lead), case.samples(20)
    moments = [(case.lead + minute, False) for minute in (*range(8), 10, 15, 19)]
    run(tmp_path, case, [False] * lead + [True] + [False] * after, *moments)


def flapping(happen, minutes=30, step=15):
    """The gauge as a registry exports it, sample by sample, while `happen(registry, second)` goes on."""
    clock = Clock(0.0)
    registry = PodRegistry(clock=clock)
    metrics = DiscoveryMetrics(registry)
    samples = []
    for second in range(0, minutes * 60, step):
        clock.now = float(second)
        happen(registry, second)
        (family,) = [found for found in metrics.collect() if found.name == FLAPPING_PODS.name]
        samples.append(max([sample.value for sample in family.samples], default=0.0))
    return samples


def rollout(registry, second, pods=20, each=60):
    """Each minute one pod comes, not ready at first, and when it is, an old one goes in good order."""
    at, within = divmod(second, each)
    if second == 0:
        registry.replace("k", [info(number, "llama") for number in range(pods)])
    if at >= pods:
        return
    if within == 0:
        registry.put("k", info(100 + at, "llama", excluded="not_ready"))
    elif within == 15:
        registry.put("k", info(100 + at, "llama"))
    elif within == 30:
        registry.put("k", info(at, "llama", excluded="terminating"))
    elif within == 45:
        registry.remove("k", f"uid-{at}")


def sick(registry, second):
    """One pod whose readiness comes and goes every half minute."""
    registry.put("k", info(1, "llama", excluded="not_ready" if second // 30 % 2 else None))


@pytest.mark.parametrize(("happen", "fires"), [(rollout, False), (sick, True)])
def test_a_rollout_of_20_pods_is_no_flapping(happen, fires, tmp_path):
    samples = flapping(happen)
    case = Case("AibrixGatewayPodsFlapping", (), bad=0, good=0)
    series = {"series": gauge("flapping_pods", MODEL, 0, 0).series, "values": " ".join(f"{s:g}" for s in samples)}
    moments = [firing(case, minute, fires and minute >= 4) for minute in range(0, 29, 2)]
    promtool(tmp_path, case.alert, {"interval": "15s", "input_series": [series], "promql_expr_test": moments})


def test_what_an_alert_says(tmp_path):
    away = [gauge("store_local", GATEWAY, 1, 1, pod=pod) for pod in ("gateway-0", "gateway-1")]
    told = {
        "exp_labels": {**GATEWAY, "severity": "warning"},
        "exp_annotations": {
            "summary": "aibrix-mw does not reach its store",
            "description": "Limits are counted in each process, or as rate_limit.on_store_error says.",
            "runbook_url": "aibrix_mw/REFERENCE.md#aibrixgatewaycountslocally",
        },
    }
    series = [{"series": s.series, "values": values(s, [True] * 10)} for s in away]
    expected = {"eval_time": "5m", "alertname": "AibrixGatewayCountsLocally", "exp_alerts": [told]}
    promtool(tmp_path, expected["alertname"], {"interval": "1m", "input_series": series, "alert_rule_test": [expected]})
