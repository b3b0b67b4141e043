"""`aibrix-mw users`: records of users' limits in the store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.lifecycle import Lifecycle
from aibrix_mw.parts.counting import Counting
from aibrix_mw.settings import load
from aibrix_mw.shared.users import LONGEST_NAME, StoredUser, StoredUsers

_SECONDS = 5.0
_POSITIVE = click.IntRange(min=1)


@click.group()
@click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False), help="Settings file with a store.")
@click.option("--redis-url", help="The store's URL; default: that of the settings.")
@click.pass_context
def users(context: click.Context, file: Path | None, redis_url: str | None) -> None:
    """Limits of users in the store; gateways follow within seconds."""
    context.obj = lambda work: _run(file, redis_url, work)


@users.command("list")
@click.pass_obj
def list_(run: Callable[[Any], None]) -> None:
    """Print every record as JSON, one a line, by name."""

    async def work(stored: StoredUsers) -> None:
        for name in sorted([name async for name in stored.names()]):
            try:
                record = await stored.get(name)
            except ConfigurationError as error:
                click.echo(f"error: {error}", err=True)
            else:
                if record is not None:
                    click.echo(msgspec.json.encode({"name": name} | msgspec.to_builtins(record)))

    run(work)


@users.command("set")
@click.argument("name")
@click.option("--rpm", type=_POSITIVE, help="Requests per minute; default: no limit.")
@click.option("--tpm", type=_POSITIVE, help="Tokens per minute; default: no limit.")
@click.pass_obj
def set_(run: Callable[[Any], None], name: str, rpm: int | None, tpm: int | None) -> None:
    """Write the record of a user, in the place of one that is there."""
    if not name or len(name) > LONGEST_NAME:
        raise click.BadParameter(f"a name has 1 to {LONGEST_NAME} characters", param_hint="NAME")
    if rpm is None and tpm is None:
        raise click.UsageError("give --rpm, --tpm or both; a user without a record has no limit")
    run(lambda stored: stored.set(StoredUser(name, rpm, tpm)))


@users.command()
@click.argument("name")
@click.pass_obj
def delete(run: Callable[[Any], None], name: str) -> None:
    """Remove the record of a user, who then has no limit."""

    async def work(stored: StoredUsers) -> None:
        if not await stored.delete(name):
            raise click.ClickException(f"{name} has no record")

    run(work)


def _run(file: Path | None, redis_url: str | None, work: Callable[[StoredUsers], Awaitable[None]]) -> None:
    """Do something with the records of the store; ends the command where there is none."""
    try:
        settings = load(file, flags={"store.url": redis_url})
        counting = Counting(settings.store, settings.rate_limit, Lifecycle())
        counting.load()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    if counting.windows is None:
        raise click.UsageError("records are kept in a store: pass --redis-url URL, or --settings with store.url")
    asyncio.run(_with(counting, work))


async def _with(counting: Counting, work: Callable[[StoredUsers], Awaitable[None]]) -> None:
    assert counting.windows is not None
    try:
        async with asyncio.timeout(_SECONDS):
            await work(StoredUsers(counting.windows.client))
    except (click.ClickException, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a client library raises
        raise click.ClickException(f"the store: {str(error) or type(error).__name__}") from None
    finally:
        await counting.aclose()
