"""`aibrix-mw dashboards`: boards for Grafana and rules for Prometheus, as files."""

from pathlib import Path

import click

from aibrix_mw.dashboards import files, write
from aibrix_mw.dashboards.alerts import FIRST_TOKEN_TARGET, OBJECTIVE
from aibrix_mw.dashboards.rules import REFERENCE


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option(
    "--objective",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=OBJECTIVE,
    show_default=True,
    help="Share of requests that may not fail, over 30 days.",
)
@click.option(
    "--first-token",
    type=click.FloatRange(0, min_open=True),
    default=FIRST_TOKEN_TARGET,
    show_default=True,
    help="Seconds to the first token that 95 % of a model's streams are to keep.",
)
@click.option("--reference", default=REFERENCE, show_default=True, help="URL of the reference, for runbook_url.")
def dashboards(out: Path, objective: float, first_token: float, reference: str) -> None:
    """Write dashboards/*.json for Grafana and alerts/aibrix-mw.yaml, a rule file for Prometheus."""
    made = files(objective=objective, first_token=first_token, reference=reference)
    try:
        write(out, made)
    except OSError as error:
        raise click.ClickException(f"cannot write to {out}: {error.strerror or error}") from None
    for path in made:
        click.echo(str(out / path))
