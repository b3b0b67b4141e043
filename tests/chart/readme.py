"""chart/README.md: a table of the values, made of the comments of values.yaml.

`python -m tests.chart.readme` writes it anew; a test holds that it is up to date. A comment that begins with `# --`
stands above its key or behind it, goes on in the lines below, and says what the key is; other comments say what a
section is.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tests.chart.rendering import CHART

PATH = CHART / "README.md"
TEMPLATE = CHART / "README.md.in"
MARK = "<!-- values -->\n"
KEY = re.compile(r"^( *)([\w.-]+):(?: |$)")
ABOVE = re.compile(r"^ *# -- (.*)$")
BEHIND = re.compile(r" # -- (.*)$")
MORE = re.compile(r"^ *# (?!-- |---- )(.*)$")
TITLE = re.compile(r"^# ---- (.*) ----$")


class Value(NamedTuple):
    """A key of values.yaml: its path, its default as JSON (None: a section), what its comment says."""

    path: str
    default: str | None
    text: str


def values(text: str) -> Iterator[Value]:
    """Yield the keys that have a comment, in their order."""
    data = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if found := ABOVE.match(line):
            comment = ["--", found[1]]
        elif found := MORE.match(line):
            comment.append(found[1])
        elif found := KEY.match(line):
            path = [part for part in path if part[0] < len(found[1])] + [(len(found[1]), found[2])]
            behind = BEHIND.search(line)
            words = ["--", behind[1]] if behind else comment
            if words:
                keys = [key for _, key in path]
                leaf = words[0] == "--"
                default = json.dumps(_at(data, keys), ensure_ascii=False) if leaf else None
                yield Value(".".join(keys), default, " ".join(words[leaf:]))
            comment = []
        else:
            comment = []


def _at(data: object, keys: list[str]) -> object:
    for key in keys:
        assert isinstance(data, dict)
        data = data[key]
    return data


def table(text: str) -> str:
    """Return the Markdown table of the values."""
    rows = ["| Key | Default | |", "|---|---|---|"]
    for value in values(text):
        default = "" if value.default is None else f"`{value.default}`"
        said = value.text.replace("|", "\\|")
        rows.append(f"| `{value.path}` | {default} | {said} |")
    return "\n".join(rows) + "\n"


def current() -> str:
    """Return the file as it must be."""
    before, mark, after = TEMPLATE.read_text().partition(MARK)
    assert mark, f"{TEMPLATE} says nowhere where the values go"
    return before + table((CHART / "values.yaml").read_text()) + after


if __name__ == "__main__":
    PATH.write_text(current())
