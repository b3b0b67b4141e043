"""Resident memory of our gateway after 20,000 and after 200,000 requests (`python -m tests.benchmarks.memory`)."""

import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from .bench import leave_on_sigterm
from .children import BenchError, Children
from .stage import Stage
from .systems import SUBJECT, SYSTEMS, System

_FIRST: Final = 20_000
_ALL: Final = 200_000
_AT_MOST: Final = 1.05


def resident_bytes(stage: Stage, name: str, requests: int, seconds: float) -> int:
    """Send so many requests, JSON and streams in turn, within `seconds`; give the resident bytes after them."""
    result = stage.drive(name, ["json", "sse"], 16, requests, seconds, 0.0)
    if result.requests < requests:
        raise BenchError(f"only {result.requests} of {requests} requests within {seconds:.0f} s")
    return result.rss_bytes


def measured(system: System, seconds: float) -> tuple[int, int]:
    """Serve alone; give the resident bytes after the first part of the requests and after all of them."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Children(Path(folder)) as children:
        stage = Stage(children)
        stage.start(system)
        stage.wait_ready(system.name)
        first = resident_bytes(stage, system.name, _FIRST, seconds)
        return first, resident_bytes(stage, system.name, _ALL - _FIRST, seconds)


@click.command()
@click.option("--seconds", default=120.0, show_default=True, help="Give up a part that takes longer.")
@click.option(
    "--system", "name", type=click.Choice([system.name for system in SYSTEMS]), default=SUBJECT, show_default=True
)
def main(seconds: float, name: str) -> None:
    """Fail when memory after 200,000 requests is over 5 % more than after 20,000."""
    leave_on_sigterm()
    try:
        first, last = measured(next(system for system in SYSTEMS if system.name == name), seconds)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    held = last / first <= _AT_MOST
    click.echo(f"after {_FIRST:,} requests {first / 2**20:.1f} MiB, after {_ALL:,} {last / 2**20:.1f} MiB")
    click.echo(f"ratio {last / first:.3f}, at most {_AT_MOST}: {'held' if held else 'BROKEN'}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
