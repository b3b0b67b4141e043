"""Changes of single members of a JSON object that leave every other byte as it came."""

from collections.abc import Iterable, Iterator, Mapping
from re import compile as regex
from typing import NamedTuple

import msgspec

Edits = Mapping[str, bytes | None]
"""Top-level key -> its new value as JSON, or None to leave the member out."""

_KEY = regex(rb'[ \t\n\r]*("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*:[ \t\n\r]*')
_END = regex(rb"[ \t\n\r]*([,}])")
_TOKEN = regex(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],]')
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Member(NamedTuple):
    """One member: the text between two commas, and its value within."""

    key: str
    begin: int
    value: int
    value_end: int
    end: int


class JsonObject:
    """A valid JSON object with at least one member, cut at its commas.

    What a value holds is not looked at, however long it is: where it ends follows from its length. Keys that are there
    twice are the exception: then the whole text is searched.
    """

    __slots__ = ("_keys", "_members", "text")

    def __init__(self, text: bytes | bytearray) -> None:
        self.text = text
        self._members = list(self._cut())
        self._keys = [member.key for member in self._members]

    def twice(self, keys: Iterable[str]) -> str | None:
        """The first of the keys that is there more than once."""
        return next((key for key in keys if self._keys.count(key) > 1), None)

    def edited(self, edits: Edits) -> bytes:
        """The object with these members changed, left out, or put at its end."""
        view = memoryview(self.text)
        members = self._members
        parts: list[bytes | memoryview] = [view[: members[0].begin]]
        for member in members:
            new = edits.get(member.key, b"")
            if new is None:
                continue
            parts += (view[member.begin : member.value], new) if new else (view[member.begin : member.value_end],)
            parts += (view[member.value_end : member.end], b",")
        for key, new in edits.items():
            if new is not None and key not in self._keys:
                parts += (b'"%b":' % key.encode(), new, b",")
        if len(parts) > 1:
            parts.pop()
        parts.append(view[members[-1].end :])
        return b"".join(parts)

    def _cut(self) -> Iterator[Member]:
        text = self.text
        values = _read_members(text)
        at = text.index(b"{") + 1
        more = True
        while more:
            key_at = _KEY.match(text, at)
            assert key_at is not None
            key = msgspec.json.decode(key_at[1], type=str)
            start = key_at.end()
            raw = values[key]
            stop = start + len(raw)
            end = _END.match(text, stop) if text.startswith(raw, start) else None
            if end is None:  # what was read is another value of the same key
                stop = _value_end(text, start)
                end = _END.match(text, stop)
                assert end is not None
            yield Member(key, at, start, stop, end.start(1))
            more = end[1] == b","
            at = end.end()


def _value_end(text: bytes | bytearray, start: int) -> int:
    """Where the value that begins at `start` ends."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if depth == 0 and mark in b",}]":
            return len(text[: token.start()].rstrip(b" \t\n\r"))
        depth += (mark in b"{[") - (mark in b"}]")
        if depth == 0 and mark != b",":
            return token.end()
    raise ValueError("a value without an end")
