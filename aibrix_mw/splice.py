"""Changes of single members of a JSON object that leave every other byte as it came."""

from collections.abc import Iterable
from re import compile as regex
from typing import Final

import msgspec

Edits = dict[str, bytes | None]
"""Top-level key -> its new value as JSON, or None to leave the member out."""

_TOKEN = regex(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],]')
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_key = msgspec.json.Decoder(str).decode
_HIGHEST_SPACE: Final = 32  # no other byte of a valid text is as low
_BACKSLASH: Final = 92
_CLOSE: Final = 125
_COMMA: Final = 44


class JsonObject:
    """A valid JSON object with at least one member, cut at its commas.

    What a value holds is not looked at, however long it is: where it ends follows from its length. Keys that are there
    twice are the exception: then the whole text is searched.
    """

    __slots__ = ("_keys", "_members", "text")

    def __init__(self, text: bytes | bytearray) -> None:
        self.text = text
        self._keys: list[str] = []
        # of each member: where its text begins, its value begins and ends, its text ends
        self._members: list[tuple[int, int, int, int]] = []
        self._cut(bytes(text))

    def twice(self, keys: Iterable[str]) -> str | None:
        """One of the keys that is there more than once."""
        own = self._keys
        if len(set(own)) == len(own):
            return None
        return next((key for key in keys if own.count(key) > 1), None)

    def edited(self, edits: Edits) -> bytes:
        """The object with these members changed, left out, or put at its end."""
        view, keys, members = memoryview(self.text), self._keys, self._members
        parts: list[bytes | memoryview] = []
        at = dropped = 0
        for place, key in enumerate(keys):
            if key not in edits:
                continue
            new = edits[key]
            begin, value, value_end, end = members[place]
            if new is not None:
                parts += (view[at:value], new)
                at = value_end
            elif place == dropped:  # all before it are left out too, and it takes the comma behind it along
                dropped += 1
                parts.append(view[at:begin])
                at = end + 1 if dropped < len(keys) else end
            else:
                parts.append(view[at : begin - 1])
                at = end
        last = members[-1][3]
        parts.append(view[at:last])
        separator = b"," if dropped < len(keys) else b""
        for key, new in edits.items():
            if new is not None and key not in keys:
                parts.append(b'%b"%b":%b' % (separator, key.encode(), new))
                separator = b","
        parts.append(view[last:])
        return b"".join(parts)

    def _cut(self, text: bytes) -> None:
        values = _read_members(text)
        at = _behind_space(text, 0)
        while text[at] != _CLOSE:
            begin = at + 1
            name = _behind_space(text, begin) + 1
            name_end = text.index(b'"', name)
            if text[name_end - 1] == _BACKSLASH:  # this may be a quote within the name
                name_end = _value_end(text, name - 1) - 1
            plain = text[name:name_end]
            key = _read_key(b'"%b"' % plain) if _BACKSLASH in plain else plain.decode()
            value = _behind_space(text, _behind_space(text, name_end + 1) + 1)
            raw = bytes(values[key])
            stop = value + len(raw)
            at = _behind_space(text, stop)
            if not (text.startswith(raw, value) and text[at] in (_COMMA, _CLOSE)):
                stop = _value_end(text, value)  # what was read is another value of the same key
                at = _behind_space(text, stop)
            self._keys.append(key)
            self._members.append((begin, value, stop, at))


def _behind_space(text: bytes, at: int) -> int:
    """The first place from `at` on, outside of strings, that is no white space."""
    while text[at] <= _HIGHEST_SPACE:
        at += 1
    return at


def _value_end(text: bytes, start: int) -> int:
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
