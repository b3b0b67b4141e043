"""`aibrix-mw keys`: keys of clients."""

import click
import msgspec

from aibrix_mw.keys import hash_of, new_key


@click.group()
def keys() -> None:
    """Keys of clients (auth.keys_file)."""


@keys.command()
@click.option("--name", required=True, help="Whose key it is; the user that limits and metrics know.")
@click.option("--tenant", help="Who the user belongs to; default: the name.")
@click.option("--model", "models", multiple=True, help="A model that the key opens; repeatable; default: all.")
@click.option("--profile", "profiles", multiple=True, help="A config profile that it opens; repeatable; default: all.")
def new(name: str, tenant: str | None, models: tuple[str, ...], profiles: tuple[str, ...]) -> None:
    """Print a fresh key, for the client, and its entry, for the keys file; neither is stored anywhere."""
    if not name.strip():
        raise click.BadParameter("a key needs a name", param_hint="--name")
    secret = new_key()
    entry = {
        "name": name,
        "sha256": hash_of(secret),
        "tenant": tenant or name,
        "models": models or ("*",),
        "profiles": profiles or ("*",),
    }
    click.echo(f"key: {secret}\nentry:")
    click.echo(f"- {msgspec.json.encode(entry).decode()}")
