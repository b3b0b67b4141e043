"""A workload as a list of requests, and its file format: JSONL, one request a line.

`{"arrival": 0.5, "session": "s1", "user": "u1", "blocks": [["system", 512], ["question-1", 200]], "output": 150}`:
the prompt is made of messages, each a name for its content and its length in tokens; the same names in the same order
are the same prefix. `"text": "..."` gives the prompt itself instead. `"answer"` names what the engine generates, so
that a later prompt of the session can contain it. Arrivals are seconds; a request of a session waits until the one
before it has ended.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aibrix_mw.errors import ConfigurationError, Fault

Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One request of a workload; `output` is the length of its answer in tokens."""

    arrival: Annotated[float, Meta(ge=0)]
    output: Tokens
    blocks: tuple[tuple[str, Tokens], ...] = ()
    text: str = ""
    session: str = ""
    user: str = ""
    answer: str = ""


def read_trace(path: Path) -> list[Entry]:
    """The requests of a file in order of arrival; ConfigurationError names the line that is wrong."""
    decode = msgspec.json.Decoder(Entry).decode
    entries, faults = [], []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError([Fault(str(path), error.strerror or str(error))]) from error
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                entries.append(_checked(decode(line)))
        except (msgspec.DecodeError, ValueError) as error:
            faults.append(Fault(f"{path}:{number}", str(error)))
    if not entries and not faults:
        faults.append(Fault(str(path), "holds no request"))
    if faults:
        raise ConfigurationError(faults)
    return sorted(entries, key=lambda entry: entry.arrival)


def write_trace(path: Path, entries: Iterable[Entry]) -> None:
    """Write the requests so that `read_trace` gives them again."""
    path.write_bytes(msgspec.json.Encoder().encode_lines(entries))


def _checked(entry: Entry) -> Entry:
    if bool(entry.text) == bool(entry.blocks):
        raise ValueError("either `blocks` or `text` says what the prompt is")
    return entry
