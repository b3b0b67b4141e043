"""`aibrix-mw reference`: the reference, made of the code."""

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: print it.")
def reference(out: Path | None) -> None:
    """Print settings, headers, refusals, metrics, traces, store keys and runbooks, as Markdown."""
    from aibrix_mw.reference import text

    if out is None:
        click.echo(text(), nl=False)
        return
    try:
        out.write_text(text())
    except OSError as error:
        raise click.ClickException(f"cannot write to {out}: {error.strerror or error}") from None
