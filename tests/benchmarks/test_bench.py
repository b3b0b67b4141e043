"""The parts of the harness that do not depend on the machine."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from .bench import chosen_scenarios, chosen_systems
from .children import BenchError, core_pair
from .envoy import bootstrap
from .load import Phase, Result
from .measure import Cpu, Stat, descendants, parse_rss, parse_stat, percentile, tree_cpu, tree_rss_bytes
from .scanner import AnswerError
from .scenarios import SCENARIOS, legs_verdict, limit_verdicts, verdict, whole_verdict
from .systems import OURS, SYSTEMS, Place
from .table import aligned, ratio, row, table


def result(cpu_us: float, requests: int = 1000) -> Result:
    seconds = cpu_us * requests / 1e6
    return Result(requests, 2.0, seconds * 0.75, seconds * 0.25, 0.001, 0.004, 50 * 2**20)


# /proc


def test_stat_counts_threads_and_children_whatever_the_command_is_called() -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    stat = parse_stat("7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 100 50 10 5 20 0 4 0 999 0 0")
    assert stat.parent == 3
    assert stat.cpu == pytest.approx((110 * tick, 55 * tick))
    assert stat.cpu.since(Cpu(10 * tick, 5 * tick)).total == pytest.approx(150 * tick)


def test_resident_bytes_are_read_from_status() -> None:
    assert parse_rss("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t  12 kB\nThreads:\t1\n") == 12 * 1024
    assert parse_rss("Name:\tzombie\n") == 0


def test_descendants_are_found_over_generations() -> None:
    nothing = Cpu(0, 0)
    stats = {pid: Stat(parent, nothing) for pid, parent in [(10, 1), (11, 10), (12, 11), (20, 1)]}
    assert sorted(descendants(10, stats)) == [10, 11, 12]
    assert descendants(99, stats) == []


def test_this_process_is_measurable() -> None:
    assert tree_cpu(os.getpid()).total > 0
    assert tree_rss_bytes(os.getpid()) > 2**20


def test_percentiles() -> None:
    values = [float(value) for value in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 99)
    assert percentile([], 0.5) == 0


# the load


async def test_a_phase_hands_out_its_requests_and_ends_when_all_have_left() -> None:
    phase = Phase(requests=3, seconds=1000, connections=2)
    assert [phase.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not phase.done.done()
    assert not phase.take(0.0)
    await phase.done


async def test_a_phase_ends_in_time() -> None:
    phase = Phase(requests=3, seconds=-1, connections=1)
    assert not phase.take(asyncio.get_running_loop().time() + 1e9)
    await phase.done


async def test_the_first_error_ends_a_phase() -> None:
    phase = Phase(requests=3, seconds=1000, connections=1)
    phase.fail(AnswerError("first"))
    phase.fail(AnswerError("second"))
    with pytest.raises(AnswerError, match="first"):
        await phase.done


# tables and maxima


def test_a_row_is_the_median_of_the_rounds() -> None:
    one = row("ours", [result(50), result(90), result(40)])
    assert (one.cpu_us, one.low_us, one.high_us) == pytest.approx((50, 40, 90))
    assert (one.user_us, one.kernel_us) == pytest.approx((37.5, 12.5))
    assert one.rate == 500


def test_a_table_has_ratios_to_envoy_and_to_ours() -> None:
    rows = {name: row(name, [result(cpu)]) for name, cpu in [("envoy", 50), ("ours", 60), ("smg", 150)]}
    lines = table("json-16", rows).splitlines()
    assert lines[0] == "json-16"
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[-1].split() == [
        "smg",
        "150.0", "150-150", "112.5", "37.5", "3.00", "2.50", "500", "1.00", "4.00", "50",
    ]  # fmt: skip


def test_a_ratio_needs_both_systems() -> None:
    assert ratio({"envoy": row("envoy", [result(50)])}, "envoy", "ours") is None


def test_columns_are_aligned() -> None:
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc   d"


@pytest.mark.parametrize(("cpu", "held"), [(70, True), (70.2, False)])
def test_a_maximum_is_held_up_to_its_value(cpu: float, held: bool) -> None:
    rows = {"envoy": row("envoy", [result(50)]), "ours": row("ours", [result(cpu)])}
    json_16 = next(scenario for scenario in SCENARIOS if scenario.name == "json-16")
    seen = verdict(json_16, rows)
    assert seen is not None
    assert seen.held is held
    assert "at most 1.4" in seen.text


def test_a_maximum_is_broken_when_ours_did_not_run() -> None:
    limited = next(scenario for scenario in SCENARIOS if scenario.at_most)
    seen = verdict(limited, {"envoy": row("envoy", [result(50)])})
    assert seen is not None
    assert not seen.held
    assert verdict(SCENARIOS[0], {}) is None


@pytest.mark.parametrize(("limited", "stored", "held"), [(108, 162, [True, True]), (109, 164, [False, False])])
def test_what_limits_may_cost(limited: float, stored: float, held: list[bool]) -> None:
    cpu = {"envoy": 49, "ours": 100, "ours+limit": limited, "ours+limit+store": stored}
    rows = {name: row(name, [result(value)]) for name, value in cpu.items()}
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    seen = list(limit_verdicts(by_name["json-64"], rows))
    assert [found.held for found in seen] == held
    assert "at most 8.0" in seen[0].text
    assert list(limit_verdicts(by_name["json-64"], {})) == []
    assert list(limit_verdicts(by_name["json-16"], rows)) == []


@pytest.mark.parametrize(("divided", "held"), [(220, True), (221, False)])
def test_what_two_legs_may_cost(divided: float, held: bool) -> None:
    rows = {name: row(name, [result(cpu)]) for name, cpu in (("ours", 100), ("ours+pd", divided))}
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    (seen,) = legs_verdict(by_name["json-16"], rows)
    assert (seen.held, "at most 2.2" in seen.text) == (held, True)
    assert list(legs_verdict(by_name["json-16"], {})) == []
    assert list(legs_verdict(by_name["json-64"], rows)) == []


@pytest.mark.parametrize(
    ("scenario", "whole", "held"), [("json-16", 175, True), ("json-16", 176, False), ("split-16", 161, False)]
)
def test_what_everything_together_may_cost(scenario: str, whole: float, held: bool) -> None:
    rows = {name: row(name, [result(cpu)]) for name, cpu in (("envoy", 100), ("ours+all", whole))}
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    (seen,) = whole_verdict(by_name[scenario], rows)
    assert seen.held == held
    assert list(whole_verdict(by_name[scenario], {})) == []
    assert list(whole_verdict(by_name["spaced-64"], rows)) == []


# choices and start commands


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BenchError, match="no such system: nginx"):
        chosen_systems("envoy,nginx")
    with pytest.raises(BenchError, match="no such scenario: json-7"):
        chosen_scenarios("json-16, json-7", quick=False)


def test_quick_keeps_the_scenarios_with_a_maximum() -> None:
    assert all(scenario.at_most for scenario in chosen_scenarios(None, quick=True))
    assert chosen_scenarios(None, quick=False) == list(SCENARIOS)
    assert [scenario.name for scenario in chosen_scenarios("sse-1", quick=True)] == ["sse-1"]


def test_every_system_gets_its_port_and_all_pods(tmp_path: Path) -> None:
    place = Place(7777, [8001, 8002], tmp_path)
    for system in SYSTEMS:
        words = " ".join(system.command(place))
        files = "".join(path.read_text() for path in tmp_path.iterdir())
        assert "7777" in words + files, system.name
        assert system.on_demand or all(str(pod) in words + files for pod in place.pods), system.name


@pytest.mark.parametrize("name", OURS)
def test_our_variants_differ_in_their_settings(name: str, tmp_path: Path) -> None:
    system = next(system for system in SYSTEMS if system.name == name)
    system.command(Place(7777, [8001], tmp_path))
    settings: dict[str, Any] = json.loads((tmp_path / "settings.yaml").read_text())
    assert settings["metrics"]["enabled"] is (name == "ours+metrics")
    assert settings["shutdown"] == {"delay": 0}


def test_envoy_is_given_each_pod() -> None:
    cluster = bootstrap(7777, [1, 2, 3])["static_resources"]["clusters"][0]
    assert len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 3


def test_without_pinning_everything_may_run_everywhere() -> None:
    gateway, others = core_pair(pin=False)
    assert gateway == others == os.sched_getaffinity(0)
