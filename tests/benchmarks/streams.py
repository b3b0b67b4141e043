"""What 8,000 streams that idle take of our gateway with everything on (`python -m tests.benchmarks.streams`)."""

import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from .bench import leave_on_sigterm
from .children import BenchError, Children
from .holding import Held
from .stage import Stage
from .systems import SYSTEMS, WHOLE

_RSS_AT_MOST: Final = 820 * 2**20
_P99_AT_MOST: Final = 3.0
"""First bytes of new requests, beside the streams to without them."""


def measured(streams: int, rounds: int, requests: int) -> Held:
    """Serve alone and hold the streams."""
    system = next(system for system in SYSTEMS if system.name == WHOLE)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Children(Path(folder)) as children:
        stage = Stage(children)
        stage.start(system)
        stage.wait_ready(system.name)
        return stage.hold(system.name, streams, rounds, requests)


def say(held: Held, streams: int) -> bool:
    """Print what was seen beside the stated maxima; False when one is broken."""
    grown = held.rss_beside - held.rss_before
    click.echo(
        f"{held.open:,} streams open after {held.seconds_to_open:.1f} s: {_mib(held.rss_beside)}, "
        f"{grown / streams / 1024:.1f} KiB each; {_mib(held.rss_before)} before, {_mib(held.rss_after)} after"
    )
    measured = {"without": (held.before, held.cpu_before), "beside": (held.beside, held.cpu_beside)}
    for name, (p99s, cpu) in measured.items():
        listed = ", ".join(f"{p99 * 1000:.1f}" for p99 in p99s)
        click.echo(f"new requests {name} them: p99 of first bytes {listed} ms; {cpu * 1e6:.0f} µs of CPU each")
    ratio = min(held.beside) / min(held.before)  # what a neighbour on the machine takes only ever adds
    verdicts = {
        f"all {streams:,} stay open": held.open == streams,
        f"at most {_mib(_RSS_AT_MOST)}": held.rss_beside <= _RSS_AT_MOST,
        f"best p99 {ratio:.2f} times, at most {_P99_AT_MOST}": ratio <= _P99_AT_MOST,
    }
    for text, kept in verdicts.items():
        click.echo(f"{text}: {'held' if kept else 'BROKEN'}")
    return all(verdicts.values())


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


@click.command()
@click.option("--streams", default=8000, show_default=True)
@click.option("--rounds", default=8, show_default=True)
@click.option("--requests", default=250, show_default=True, help="New requests in a round.")
def main(streams: int, rounds: int, requests: int) -> None:
    """Fail when 8,000 streams that idle take more than 820 MiB, or make new requests wait three times as long."""
    leave_on_sigterm()
    try:
        held = measured(streams, rounds, requests)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if say(held, streams) else 1)


if __name__ == "__main__":
    main()
