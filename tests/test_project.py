"""The repository as a newcomer finds it: what README.md says works, and what goes together does."""

import ast
import asyncio
import math
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import click
import pytest
import yaml
from starlette.testclient import TestClient
from starlette.types import ASGIApp

import aibrix_mw
from aibrix_mw.app import create_app
from aibrix_mw.cli import main
from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.errors import UnknownStrategy
from aibrix_mw.profiles import parse_config
from tests.serving import listening

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LAYOUT = {
    ".ci",
    ".dockerignore",
    ".gitignore",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "aibrix_mw",
    "chart",
    "examples",
    "pyproject.toml",
    "tests",
}


def blocks(language):
    """The fenced blocks of a language in README.md."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(program):
    """The command lines of README.md that call a program, as lists of words."""
    lines = [line for block in blocks("console") for line in block.replace("\\\n", "").splitlines()]
    inline = re.findall(rf"`({program} [^`]+)`", README)
    words = [shlex.split(line, comments=True) for line in [*lines, *inline]]
    return [line for line in words if line and line[0] == program]


def tracked():
    """The files that git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name]


# -- what must agree


def test_version_is_that_of_changelog_image_and_chart():
    top = re.search(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top is not None
    assert top[1] == aibrix_mw.__version__
    assert f'image.version="{aibrix_mw.__version__}"' in (ROOT / "Dockerfile").read_text()
    chart = ROOT / "chart" / "Chart.yaml"
    if chart.exists():
        assert yaml.safe_load(chart.read_text())["appVersion"] == aibrix_mw.__version__


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git work tree")
def test_top_level_holds_only_the_layout():
    assert {name.partition("/")[0] for name in tracked()} <= LAYOUT


def test_package_imports_nothing():
    tree = ast.parse(Path(aibrix_mw.__file__).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_every_example_is_named_in_a_test():
    tests = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    examples = [path.name for path in (ROOT / "examples").iterdir() if path.is_file()]
    assert [name for name in examples if f'"{name}"' not in tests] == []


# -- what README.md says


def test_readme_is_short_and_begins_with_two_commands():
    assert len(README.splitlines()) < 250
    assert [line.partition("#")[0].strip() for line in blocks("console")[0].splitlines()] == ["make demo", "make test"]


def test_readme_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"`(aibrix_mw/[\w/.]+)`", README)
    assert links
    roots = (ROOT, Path(aibrix_mw.__file__).parents[1])
    assert [link for link in links if "://" not in link and not any((root / link).exists() for root in roots)] == []


def test_readme_draws_the_layers_in_their_order():
    drawn = re.findall(r"^ ([A-Z][A-Za-z]+) {2,}\S", blocks("text")[0], re.MULTILINE)
    layer: ASGIApp | None = create_app({}).stack
    names = []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    assert drawn == [name.removesuffix("Middleware") for name in names]


def test_readme_lists_the_strategies():
    listed = re.findall(r"^\| `([a-z-]+)` \| .* \| (yes|no|alone) \|$", README, re.MULTILINE)
    catalogue = create_app({}).catalogue
    assert sorted(name for name, _ in listed) == sorted(catalogue.names())
    for name, in_lists in listed:
        if in_lists == "alone":
            assert catalogue.get(f"{name}:1,least-request:1") is catalogue.get(name)
        elif in_lists == "yes":
            catalogue.get(f"{name}:1,least-request:1")
        else:
            with pytest.raises(UnknownStrategy):
                catalogue.get(f"{name}:1,least-request:1")


@pytest.mark.parametrize("words", commands("aibrix-mw"), ids=" ".join)
def test_readme_command_parses(words):
    # within the program's context: a command keeps the help option that it is asked for first
    program = click.Context(main, **main.context_settings)
    context = main.commands[words[1]].make_context(words[1], words[2:], parent=program)
    assert isinstance(context, click.Context)


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_readme_target_exists(words):
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"), ids=["gateway", "middleware", "strategy"])
def test_readme_python_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    if "app" in names:
        with TestClient(names["app"]) as client:  # as a server does: with its lifespan
            assert client.get("/openapi.json").status_code == 200
            assert "gateway" not in names or client.get("/llm/healthz").status_code == 200


def test_readme_profiles_are_an_annotation():
    (annotation,) = blocks("json")
    config, warnings = parse_config(annotation)
    assert (config.default_profile, sorted(config.profiles), warnings) == ("interactive", ["batch", "interactive"], ())


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_readme_curl_lines_are_answered():
    fast = EngineOptions(models=("my-model",), prefill_tokens_per_second=math.inf, decode_tokens_per_second=math.inf)
    profiles = yaml.safe_load(blocks("json")[0])
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(listening(create_engine(fast)))
        model = {"endpoints": [engine], "config": profiles}
        gateway = create_app({"models": {"my-model": model}})
        await stack.enter_async_context(gateway.running())
        client = await stack.enter_async_context(listening(gateway, lifespan="off"))
        admin = await stack.enter_async_context(listening(gateway.admin, lifespan="off"))
        for words in commands("curl"):
            moved = [
                word.replace("http://127.0.0.1:8080", client).replace("http://127.0.0.1:8081", admin) for word in words
            ]
            process = await asyncio.create_subprocess_exec(*moved[:1], "-sSf", *moved[1:], stdout=subprocess.PIPE)
            answer, _ = await process.communicate()
            assert process.returncode == 0, words
            assert b"my-model" in answer, words


def test_console_script_and_module_are_one_program():
    asked = subprocess.run([sys.executable, "-m", "aibrix_mw", "--version"], capture_output=True, check=True)
    assert asked.stdout.decode().strip() == f"aibrix-mw, version {aibrix_mw.__version__}"
