"""chart/README.md is what values.yaml says, and values.yaml says something of every key."""

import re

import pytest
import yaml

from tests.chart import readme
from tests.chart.rendering import CHART
from tests.chart.test_schema import leaves
from tests.chart.tools import ROOT

TEXT = (CHART / "values.yaml").read_text()


def test_readme_is_up_to_date():
    assert readme.PATH.read_text() == readme.current(), "python -m tests.chart.readme"


def test_every_key_has_a_comment():
    said = {value.path for value in readme.values(TEXT) if value.default is not None}
    missing = []
    for path in leaves(yaml.safe_load(TEXT)):
        above = {".".join(path[:length]) for length in range(1, len(path) + 1)}
        missing += [] if above & said else [".".join(path)]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("# -- What it is.\na: 1\n", [("a", "1", "What it is.")]),
        ("a: 1  # -- What it is.\n", [("a", "1", "What it is.")]),
        ("# -- What it is,\n# and more.\na: [x]\n", [("a", '["x"]', "What it is, and more.")]),
        ("# A section.\na:\n  b: null  # -- Inside.\n", [("a", None, "A section."), ("a.b", "null", "Inside.")]),
        ("# ---- title ----\n\n# Left out.\n\na: 1\n", []),
        (
            "a:\n  b: {c: 1}  # -- Inside.\nd: 1  # -- Outside.\n",
            [("a.b", '{"c": 1}', "Inside."), ("d", "1", "Outside.")],
        ),
    ],
)
def test_values_of(text, values):
    assert [tuple(value) for value in readme.values(text)] == values


def test_table_escapes_what_would_end_a_cell():
    assert "| `a` | `1` | x \\| y |" in readme.table("a: 1  # -- x | y\n")


def test_quick_start_is_five_commands_that_name_what_is_there():
    block = re.findall(r"^```console\n(.*?)^```$", readme.PATH.read_text(), re.DOTALL | re.MULTILINE)[0]
    commands = block.splitlines()
    assert [command.split()[0] for command in commands] == ["make", "kind", "helm", "helm", "kubectl"]
    assert re.search(r"^image:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (file,) = re.findall(r"--values (\S+)", commands[2])
    assert (ROOT / file).exists()
    assert "service/gw-aibrix-mw" in commands[4]
