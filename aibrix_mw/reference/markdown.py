"""The little of Markdown that the reference needs."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """A heading and what is below it."""

    title: str
    body: str


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, a row a line."""
    lines = [_row(head), "|" + "---|" * len(head), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def code(text: str) -> str:
    """As it is typed."""
    return f"`{text}`"


def anchor(title: str) -> str:
    """Of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def first_sentence(docstring: str | None) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())
