"""Results as a file: JSON that the tool writes and reads again."""

from pathlib import Path

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.sizing.measure import Measured
from aibrix_mw.sizing.sizes import Answer

FORMAT = "aibrix-mw size 1"


class Document(msgspec.Struct, frozen=True):
    """What was measured, of whom, and the answer; `runs` has `replica`, or `prefill` and `decode`."""

    url: str
    model: str
    workload: str
    runs: dict[str, Measured]
    answer: Answer | None = None
    format: str = FORMAT


def encode(document: Document) -> str:
    """JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def read(path: Path) -> Document:
    """The results in a file; ConfigurationError when it holds none."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=Document)
    except OSError as error:
        raise ConfigurationError([Fault(str(path), error.strerror or str(error))]) from error
    except msgspec.DecodeError as error:
        raise ConfigurationError([Fault(str(path), f"no results of `size --json`: {error}")]) from error
    if document.format != FORMAT:
        raise ConfigurationError([Fault(str(path), f"format {document.format!r}, but {FORMAT!r} is what can be read")])
    return document
