"""The head of a message as it goes over the wire."""

from collections.abc import Iterable
from typing import Final

_LF: Final = 10
_CR: Final = 13
_NUL: Final = 0
_AROUND_TARGET: Final = len("POST  HTTP/1.1\r\n\r\n")


def head_of(start: bytes, headers: Iterable[tuple[bytes, bytes]], end: bytes) -> bytes:
    """Start line, headers, and `end`: whole lines, the empty one included.

    ValueError for a line break or a NUL in what comes before the end: somebody would read a second head there.
    """
    lines = [start]
    for name, value in headers:
        lines.append(b"%b: %b" % (name, value))
    text = b"".join(lines)
    if _LF in text or _CR in text or _NUL in text:
        raise ValueError("a header has a line break or a NUL in it")
    lines.append(end)
    return b"\r\n".join(lines)


def size_of(target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of a request's head with its usual spaces and line ends."""
    size = len(target) + _AROUND_TARGET
    for name, value in headers:
        size += len(name) + len(value) + 4
    return size
