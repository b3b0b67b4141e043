"""`make simulate`: all experiments, or those that are named; exit 1 when a promise is broken."""

import sys
import time

import click

from tests.experiments.fleets import abuse, restarting, uneven
from tests.experiments.legs import disaggregated
from tests.experiments.promises import lines
from tests.experiments.workloads import chatting, nothing_shared

EXPERIMENTS = {
    "chat": chatting,
    "batch": nothing_shared("batch"),
    "bursty": nothing_shared("bursty"),
    "heavy-tailed": nothing_shared("heavy-tailed"),
    "abusive": abuse,
    "uneven": uneven,
    "restart": restarting,
    "disaggregated": disaggregated,
}


def main(names: list[str]) -> int:
    """Run and print; the number of broken promises."""
    broken = 0
    for name in names or EXPERIMENTS:
        begun = time.perf_counter()
        report = EXPERIMENTS[name]()
        click.echo("\n".join([f"== {report.title}", report.table, "", *lines(report.promises)]))
        click.echo(f"({time.perf_counter() - begun:.0f} s)\n")
        broken += sum(promise.held and not promise.kept for promise in report.promises)
    return broken


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
