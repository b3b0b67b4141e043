"""`aibrix-mw explain`: what a running gateway would do with a request."""

from typing import Any

import click
import msgspec

from aibrix_mw.explain.text import lines
from aibrix_mw.explain.told import Explanation

_SECONDS = 10.0


@click.command()
@click.option("--model", required=True, help="Model of the request; takes the place of the one in the body.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Header of it; repeatable.")
@click.option("--body", type=click.File("r", encoding="utf-8"), help="File with its body; -: standard input.")
@click.option("--path", default="/v1/chat/completions", show_default=True, help="Path of it.")
@click.option("--admin", default="http://127.0.0.1:8081", show_default=True, help="The gateway's admin listener.")
@click.option("--json", "as_json", is_flag=True, help="Print what `POST /explain` answers.")
def explain(model: str, headers: tuple[str, ...], body: Any, path: str, admin: str, *, as_json: bool) -> None:  # noqa: ANN401
    """Say what a running gateway would do with a request: profile, strategy, limits, each pod, the choice.

    Nothing is sent to an engine, nothing is counted, and no strategy learns of it.
    """
    question: dict[str, Any] = {"model": model, "headers": dict(map(_header, headers)), "path": path}
    if body is not None:
        question["body"] = body.read()
    answer = _ask(admin, question)
    if as_json:
        click.echo(msgspec.json.format(answer).decode())
        return
    for line in lines(msgspec.json.decode(answer, type=Explanation)):
        click.echo(line)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise click.BadParameter(f"{text!r} is not 'NAME: VALUE'", param_hint="-H")
    return name.strip().lower(), value.strip()


def _ask(admin: str, question: dict[str, Any]) -> bytes:
    import httpx

    try:
        answer = httpx.post(f"{admin.rstrip('/')}/explain", content=msgspec.json.encode(question), timeout=_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise click.ClickException(f"{admin}: {error or type(error).__name__}") from None
    if answer.status_code != 200:
        raise click.ClickException(_reason(answer.content) or f"{admin} answers {answer.status_code}")
    return answer.content


def _reason(body: bytes) -> str | None:
    try:
        error: dict[str, Any] = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return None
    return str(error.get("message"))
