"""The reference, made of the code: REFERENCE.md beside this package is its text, and a test holds it to that."""

from pathlib import Path

from aibrix_mw.reference import alerts, compare, headers, metrics, profiles, refusals, routing, settings, spans, store
from aibrix_mw.reference.markdown import Section, anchor

FILE = Path(__file__).parents[1] / "REFERENCE.md"

_TITLE = """# Reference

What a gateway can be told, what it answers and what it tells of itself. Made by `aibrix-mw reference` of the code that
does it: change that, not this file. Times are seconds and sizes bytes unless a name says otherwise.
"""


def sections() -> list[Section]:
    """Every section, in order."""
    return [
        settings.section(),
        *profiles.sections(),
        *routing.sections(),
        *headers.sections(),
        refusals.section(),
        metrics.section(),
        spans.section(),
        store.section(),
        alerts.section(),
        compare.section(),
    ]


def text() -> str:
    """The whole file."""
    made = sections()
    contents = "\n".join(f"- [{section.title}](#{anchor(section.title)})" for section in made)
    bodies = [f"## {section.title}\n\n{section.body.strip()}\n" for section in made]
    return "\n".join([_TITLE, f"{contents}\n", *bodies])
