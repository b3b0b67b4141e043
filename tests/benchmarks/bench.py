"""The command line: which systems and scenarios, in rounds A B C A B C, tables, ratios and the stated maxima."""

import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import click

from .children import BenchError, Children
from .load import Result
from .scenarios import SCENARIOS, Scenario, legs_verdict, limit_verdicts, verdict, whole_verdict
from .stage import PODS, Stage
from .systems import SUBJECT, SYSTEMS, System
from .table import Row, row, table

_UNBOUNDED: Final = 1_000_000
Rounds = dict[str, list[Result]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how often: seconds of each measured run and of its warm-up."""

    rounds: int = 3
    seconds: float = 2.0
    warmup: float = 0.3


FULL: Final = Plan()
QUICK: Final = Plan(rounds=2, seconds=1.2, warmup=0.3)


def chosen_systems(only: str | None) -> list[System]:
    """Give the named systems; without names all that are installed except those on demand; Envoy must be."""
    known = {system.name: system for system in SYSTEMS}
    names = [name.strip() for name in only.split(",")] if only else [s.name for s in SYSTEMS if not s.on_demand]
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"no such system: {', '.join(unknown)} (there are {', '.join(known)})")
    missing = [name for name in names if not known[name].available]
    if any(known[name].required or only for name in missing):
        raise BenchError(f"not installed in {sys.prefix}: {', '.join(missing)}")
    if missing:
        click.echo(f"left out, not installed: {', '.join(missing)}")
    return [known[name] for name in names if name not in missing]


def chosen_scenarios(names: str | None, quick: bool) -> list[Scenario]:
    """Give the named scenarios; without names all, or with `quick` those that have a stated maximum."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if not names:
        return [scenario for scenario in SCENARIOS if scenario.at_most or not quick]
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise BenchError(f"no such scenario: {', '.join(unknown)} (there are {', '.join(known)})")
    return [known[name] for name in wanted]


def run_scenario(stage: Stage, scenario: Scenario, systems: Sequence[System], plan: Plan) -> Rounds:
    """Drive the systems one after another, round by round, so that a slow moment of the machine hits all of them."""
    taking_part = [system.name for system in systems if scenario.kind in system.kinds]
    rounds: Rounds = {name: [] for name in taking_part}
    for _ in range(plan.rounds):
        for name in taking_part:
            bounds = (_UNBOUNDED, plan.seconds * scenario.stretch, plan.warmup)
            rounds[name].append(stage.drive(name, [scenario.kind], scenario.connections, *bounds))
    return rounds


def _say_conditions(stage: Stage, plan: Plan) -> None:
    click.echo(
        f"gateways on core {_cores(stage.gateway_cores)} (one worker each), "
        f"load and {PODS} mock pods on {_cores(stage.other_cores)}; "
        f"{plan.rounds} rounds of {plan.seconds} s, medians; CPU of the process tree, user + kernel\n"
    )


def _cores(cores: set[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def start_all(stage: Stage, systems: Sequence[System]) -> list[System]:
    """Start the systems and give those that serve; a peer that does not is left out, but no required system."""
    for system in systems:
        stage.start(system)
    ready = []
    for system in systems:
        try:
            stage.wait_ready(system.name)
            ready.append(system)
        except BenchError as error:
            if system.required:
                raise
            click.echo(f"left out: {error}")
    return ready


def run(systems: Sequence[System], scenarios: Sequence[Scenario], plan: Plan, *, pin: bool) -> dict[str, Rounds]:
    """Start everything, drive each scenario and print its table; give the rounds by scenario and system."""
    seen: dict[str, Rounds] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Children(Path(folder)) as children:
        stage = Stage(children, pin=pin)
        ready = start_all(stage, systems)
        _say_conditions(stage, plan)
        for scenario in scenarios:
            seen[scenario.name] = run_scenario(stage, scenario, ready, plan)
            click.echo(table(scenario.title, rows_of(seen[scenario.name])))
    return seen


def rows_of(rounds: Rounds) -> dict[str, Row]:
    """Put the rounds of each system together."""
    return {name: row(name, results) for name, results in rounds.items()}


def save(path: Path, seen: dict[str, Rounds]) -> None:
    """Write every round of every system: times in seconds, memory in bytes."""
    plain = {
        scenario: {name: [dataclasses.asdict(result) for result in results] for name, results in rounds.items()}
        for scenario, rounds in seen.items()
    }
    path.write_text(json.dumps(plain, indent=1) + "\n")


def say_verdicts(scenarios: Sequence[Scenario], seen: dict[str, Rounds]) -> bool:
    """Print each stated maximum beside what was seen; False when one is broken."""
    verdicts = [found for scenario in scenarios if (found := verdict(scenario, rows_of(seen[scenario.name])))]
    for scenario in scenarios:
        verdicts += limit_verdicts(scenario, rows_of(seen[scenario.name]))
        verdicts += whole_verdict(scenario, rows_of(seen[scenario.name]))
        verdicts += legs_verdict(scenario, rows_of(seen[scenario.name]))
    for found in verdicts:
        click.echo(found.text)
    return all(found.held for found in verdicts)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def leave_on_sigterm() -> None:
    """Make SIGTERM end the bench as Ctrl-C does: all processes are stopped first."""
    signal.signal(signal.SIGTERM, _leave)


@click.command()
@click.option(
    "--only", metavar="NAMES", help="Comma list of systems; default: all that are installed, without the floor."
)
@click.option("--scenario", "scenario_names", metavar="NAMES", help="Comma list of scenarios; default: all.")
@click.option("--rounds", type=click.IntRange(1), help="How often each system is driven per scenario.")
@click.option("--seconds", type=click.FloatRange(0.1), help="Length of each measured run.")
@click.option("--quick", is_flag=True, help="Only the scenarios with a stated maximum, fewer and shorter rounds.")
@click.option("--check", is_flag=True, help=f"Fail when {SUBJECT} breaks a stated maximum.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all rounds to this file."
)
@click.option("--no-pin", is_flag=True, help="Do not pin the processes to cores.")
def main(
    only: str | None,
    scenario_names: str | None,
    rounds: int | None,
    seconds: float | None,
    quick: bool,
    check: bool,
    json_file: Path | None,
    no_pin: bool,
) -> None:
    """Compare our gateway with its peers on this machine, over loopback."""
    leave_on_sigterm()
    plan = QUICK if quick else FULL
    plan = Plan(rounds or plan.rounds, seconds or plan.seconds, plan.warmup)
    try:
        scenarios = chosen_scenarios(scenario_names, quick)
        seen = run(chosen_systems(only), scenarios, plan, pin=not no_pin)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if json_file:
        save(json_file, seen)
    held = not check or say_verdicts(scenarios, seen)
    sys.exit(0 if held else 1)
