"""The engine's own count of tokens, read in passing.

An answer is searched for the key `"usage"` and nothing else of it is decoded. Inside a JSON string the quotes would be
escaped, so that no generated text can look like the key; an answer that echoes a part of the request (tools, metadata)
can hold further objects of that name, and then the largest count of each kind stands: counts only grow while an answer
is made, and a client cannot make its own smaller.
"""

import re
from collections.abc import Iterable
from typing import Final

from aibrix_mw.tokens import Usage, parse_usage

_KEY: Final = b'"usage"'
_OBJECT: Final = re.compile(rb'"usage"\s*(?::\s*(\{)?)?')
_LONGEST_BYTES: Final = 4096
_READABLE: Final = (b"application/json", b"text/event-stream")


class UsageReader:
    """Reads the usage of one answer from its chunks, wherever they are split; `usage` is None until there is one.

    `start` hears the answer's headers: where they promise neither JSON nor events, or a compressed body, `feed` does
    nothing. A chunk without the key costs one search. Who feeds it says so, so that nobody else does: `at_source` who
    has the engine's answer, `in_passing` who only sees it go by.
    """

    __slots__ = ("_held", "_readable", "at_source", "in_passing", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.at_source = False
        self.in_passing = False
        self._held = b""
        self._readable = True

    def start(self, headers: Iterable[tuple[bytes, bytes]], *, at_source: bool = False) -> None:
        """Look at the answer's headers, names in lower case."""
        self.at_source = at_source
        self._readable = False
        for name, value in headers:
            if name == b"content-encoding" and value != b"identity":
                self._readable = False
                return
            if name == b"content-type":
                self._readable = value.lower().startswith(_READABLE)

    def feed(self, chunk: bytes) -> None:
        """Look at the next chunk of the answer's body."""
        if not self._readable:
            return
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        at = chunk.find(_KEY)  # `in` would try the key as a number first, which costs four times as much
        if at >= 0:
            self._read(chunk, at)
        elif not chunk.endswith(b"\n"):  # no JSON string holds a line break: the key does not go on after one
            self._held = chunk[1 - len(_KEY) :]

    def _read(self, data: bytes, at: int) -> None:
        """Read every complete object, the first one at `at`, and hold what may go on in the next chunk."""
        while at >= 0:
            end = self._read_object(data, at)
            if end < 0:
                if len(data) - at <= _LONGEST_BYTES:
                    self._held = data[at:]
                    return
                end = at + len(_KEY)
            at = data.find(_KEY, end)
        self._held = data[max(end, len(data) + 1 - len(_KEY)) :]

    def _read_object(self, data: bytes, at: int) -> int:
        """Read the object whose key is at `at`; returns where it ends, -1 when that is not there yet."""
        match = _OBJECT.match(data, at)
        assert match is not None
        start, stop = match.span(1)
        if start < 0:
            return match.end() if match.end() < len(data) else -1
        depth = 1
        while depth:
            end = data.find(b"}", stop, start + _LONGEST_BYTES) + 1
            if not end:
                return -1
            depth += data.count(b"{", stop, end) - 1
            stop = end
        self._take(data[start:stop])
        return stop

    def _take(self, text: bytes) -> None:
        """Take over the counts of one object; one that is malformed or counts no tokens says nothing."""
        found, known = parse_usage(text), self.usage
        if found is not None and known is not None:
            found = found.or_more(known)
        self.usage = found or known
