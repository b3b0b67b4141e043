"""`aibrix-mw simulate`: strategies on simulated fleets."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aibrix_mw.errors import ConfigurationError

if TYPE_CHECKING:
    from aibrix_mw.simulation.study import Study

_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--strategy", default="prefix-cache", show_default=True, help="Strategy, weighted list or peer.")
@click.option("--compare", multiple=True, metavar="STRATEGY", help="A further one on the same requests; repeatable.")
@click.option("--workload", default="chat", show_default=True, help="Built-in workload; an unknown one lists them.")
@click.option("--trace", type=_PATH, help="Requests from a JSONL file instead.")
@click.option("--load", default=0.7, show_default=True, help="Share of what the fleet can do.")
@click.option("--rate", type=float, help="Requests a second, instead of --load.")
@click.option("--seconds", default=300.0, show_default=True, help="Virtual time of the workload.")
@click.option("--engines", default=8, show_default=True, help="Engines.")
@click.option("--slow", default=0, show_default=True, help="How many of them run at half speed.")
@click.option("--prefill", type=int, help="How many of them are prefill pods of `pd`; half of them by default.")
@click.option("--kv-blocks", default=4096, show_default=True, help="KV blocks of an engine, 16 tokens each.")
@click.option("--gateways", default=3, show_default=True, help="Replicas of the gateway; they share nothing.")
@click.option("--seeds", default=3, show_default=True, help="Runs with other chances; the figures are their means.")
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option("--plot", multiple=True, type=_PATH, help="Write a .png, .svg or .html; repeatable.")
@click.option("--save-trace", type=_PATH, help="Write the requests of the first seed as JSONL.")
def simulate(strategy: str, compare: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
    """Simulate strategies on a fleet of engines, in virtual time, and say how they fare."""
    from aibrix_mw.simulation.study import Study

    plots, save = options.pop("plot"), options.pop("save_trace")
    try:
        _study(Study(strategies=(strategy, *compare), **options), plots, save)
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"error: {fault if fault.path else fault.reason}", err=True)
        sys.exit(1)


def _study(study: "Study", plots: tuple[Path, ...], save: Path | None) -> None:
    from aibrix_mw.simulation import plot, table
    from aibrix_mw.simulation.trace import write_trace

    study.check()
    for path in plots:
        plot.check(path)
    workloads = study.workloads()
    if save is not None:
        write_trace(save, workloads[0])
    total = sum(map(len, workloads)) * len(study.strategies)
    with click.progressbar(length=total, label="simulating", file=sys.stderr, update_min_steps=100) as bar:
        results = study.run(workloads, lambda ended: bar.update(ended - bar.pos))
    title = study.title(workloads)
    click.echo(f"{title}\n\n{table.as_text(results)}")
    for path in plots:
        plot.write(path, title, results)
