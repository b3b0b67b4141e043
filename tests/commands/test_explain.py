"""`aibrix-mw explain`, over a real socket."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from aibrix_mw.cli import main
from tests.ports import free_port
from tests.serving import listening
from tests.support import Running


async def invoke(*words, stdin=None):
    return await asyncio.to_thread(CliRunner().invoke, main, ["explain", "--model", "m", *words], input=stdin)


@pytest.fixture
async def admin():
    async with Running() as running, listening(running.gateway.admin, lifespan="off") as url:
        yield url


async def test_it_prints_lines(admin, tmp_path):
    file = tmp_path / "body.json"
    file.write_text('{"messages": [{"role": "user", "content": "h\u00e4?"}], "max_tokens": 3}')
    result = await invoke("--admin", admin, "-H", "routing-strategy: random", "-H", "User:al", "--body", str(file))
    assert result.exit_code == 0, result.output
    assert "at most 3 to answer, user al" in result.stdout
    assert "strategy  random (header)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("choice    pod-")


async def test_it_prints_json_of_a_body_from_standard_input(admin):
    result = await invoke(
        "--admin", admin + "/", "--json", "--body", "-", "--path", "/v1/embeddings", stdin='{"input":"x"}'
    )
    told = json.loads(result.stdout)
    assert (told["asked"]["path"], told["choice"]["address"][:5]) == ("/v1/embeddings", "10.0.")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-H", "nonsense"], "'nonsense' is not 'NAME: VALUE'"),
        (["--path", "/x"], "/x is not a path that is forwarded to engines"),
    ],
)
async def test_what_is_wrong_with_the_question(admin, words, reason):
    result = await invoke("--admin", admin, *words)
    assert result.exit_code != 0
    assert reason in result.stderr


async def test_nobody_there():
    result = await invoke("--admin", f"http://127.0.0.1:{free_port()}")
    assert (result.exit_code, "Error: http://127.0.0.1:" in result.stderr) == (1, True)
    result = await invoke("--admin", "no url")
    assert result.exit_code == 1


async def test_somebody_else_there():
    async def other(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"what?"})

    async with listening(other, lifespan="off") as url:
        result = await invoke("--admin", url)
    assert result.stderr == f"Error: {url} answers 404\n"
