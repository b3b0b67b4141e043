"""Changes of single members of a JSON object that leave every other byte as it came."""

from collections.abc import Iterable, Mapping
from re import compile as regex

import msgspec

Edits = Mapping[str, bytes | None]
"""Top-level key -> its new value as JSON, or None to leave the member out."""

_NAME = rb'[ \t\n\r]*"(?:([^"\\]*+)|([^"\\]*+(?:\\.[^"\\]*+)*+))"[ \t\n\r]*:[ \t\n\r]*'
_FIRST = regex(rb"[ \t\n\r]*(\{)" + _NAME)
_NEXT = regex(rb"[ \t\n\r]*(?:(,)" + _NAME + rb"|(\}))")
_TOKEN = regex(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],]')
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_key = msgspec.json.Decoder(str).decode


class JsonObject:
    """A valid JSON object with at least one member, cut at its commas.

    What a value holds is not looked at, however long it is: where it ends follows from its length. Keys that are there
    twice are the exception: then the whole text is searched.
    """

    __slots__ = ("_members", "_places", "text")

    def __init__(self, text: bytes | bytearray) -> None:
        self.text = text
        # of each member: where its text begins, its value begins and ends, its text ends
        self._members: list[tuple[int, int, int, int]] = []
        self._places: dict[str, list[int]] = {}
        self._cut()

    def twice(self, keys: Iterable[str]) -> str | None:
        """One of the keys that is there more than once."""
        places = self._places
        if len(places) == len(self._members):
            return None
        return next((key for key in keys if len(places.get(key, ())) > 1), None)

    def edited(self, edits: Edits) -> bytes:
        """The object with these members changed, left out, or put at its end."""
        view, members, places = memoryview(self.text), self._members, self._places
        changes: list[tuple[int, bytes | None]] = []
        added: list[bytes] = []
        for key, new in edits.items():
            if key in places:
                changes += [(place, new) for place in places[key]]
            elif new is not None:
                added.append(b'"%b":%b' % (key.encode(), new))
        changes.sort(key=_place)
        parts: list[bytes | memoryview] = []
        at = dropped = 0
        for place, new in changes:
            begin, value, value_end, end = members[place]
            if new is not None:
                parts += (view[at:value], new)
                at = value_end
            elif place == dropped:  # all before it are left out too, and it takes the comma behind it along
                dropped += 1
                parts.append(view[at:begin])
                at = end + 1 if dropped < len(members) else end
            else:
                parts.append(view[at : begin - 1])
                at = end
        last = members[-1][3]
        parts.append(view[at:last])
        if added:
            parts.append(b",".join(added) if dropped == len(members) else b"," + b",".join(added))
        parts.append(view[last:])
        return b"".join(parts)

    def _cut(self) -> None:
        text, members, places = self.text, self._members, self._places
        values = _read_members(text)
        found = _FIRST.match(text)
        assert found is not None
        begin = found.end(1)
        while True:
            plain = found[2]
            key = plain.decode() if plain is not None else _read_key(b'"%b"' % found[3])
            value = found.end()
            raw = values[key]
            stop = value + len(raw)
            following = _NEXT.match(text, stop) if text.startswith(bytes(raw), value) else None
            if following is None:  # what was read is another value of the same key
                stop = _value_end(text, value)
                following = _NEXT.match(text, stop)
                assert following is not None
            comma = following.start(1)
            if key in places:
                places[key].append(len(members))
            else:
                places[key] = [len(members)]
            if comma < 0:
                members.append((begin, value, stop, following.start(4)))
                return
            members.append((begin, value, stop, comma))
            begin = comma + 1
            found = following


def _place(change: tuple[int, bytes | None]) -> int:
    return change[0]


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
