"""The engine's own count of tokens, read in passing.

An answer is searched for the key `"usage"` and nothing else of it is decoded. Inside a JSON string the quotes would be
escaped, so that no generated text can look like the key; an answer that echoes a part of the request (tools, metadata)
can hold further objects of that name, and then the largest count of each kind stands: counts only grow while an answer
is made, and a client cannot make its own smaller.
"""

import re
from collections.abc import Iterable

import msgspec

_KEY = b'"usage"'
_OBJECT = re.compile(rb'"usage"\s*(?::\s*(\{)?)?')
_BRACE = re.compile(rb"[{}]")
_LONGEST_BYTES = 4096
_READABLE = (b"application/json", b"text/event-stream")


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request: `input` with those that came from a cache, which `cached` counts again."""

    input: int = 0
    output: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input + self.output


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Fields(msgspec.Struct):
    """The names that count: OpenAI's of completions and of responses, and Anthropic's.

    Anthropic's input leaves out what was read from a cache or written to it.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


_decode = msgspec.json.Decoder(_Fields).decode


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
        fields = dict(headers)
        encoding = fields.get(b"content-encoding", b"identity")
        self._readable = encoding == b"identity" and fields.get(b"content-type", b"").lower().startswith(_READABLE)

    def feed(self, chunk: bytes) -> None:
        """Look at the next chunk of the answer's body."""
        if not self._readable:
            return
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        if _KEY in chunk:
            self._read(chunk)
        elif not chunk.endswith(b"\n"):  # no JSON string holds a line break: the key does not go on after one
            self._held = chunk[1 - len(_KEY) :]

    def _read(self, data: bytes) -> None:
        """Read every complete object, and hold what may go on in the next chunk."""
        at = data.find(_KEY)
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
        if match[1] is None:
            return match.end() if match.end() < len(data) else -1
        depth = 0
        for brace in _BRACE.finditer(data, match.start(1), match.start(1) + _LONGEST_BYTES):
            depth += 1 if brace[0] == b"{" else -1
            if depth == 0:
                self._take(data[match.start(1) : brace.end()])
                return brace.end()
        return -1

    def _take(self, text: bytes) -> None:
        """Take over the counts of one object; one that is malformed or counts no tokens says nothing."""
        try:
            fields = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
        found = _usage(fields)
        if found is None:
            return
        known = self.usage or found
        self.usage = Usage(
            max(known.input, found.input), max(known.output, found.output), max(known.cached, found.cached)
        )


def _usage(fields: _Fields) -> Usage | None:
    output = _first(fields.completion_tokens, fields.output_tokens)
    given = _first(fields.prompt_tokens, fields.input_tokens)
    if given is None and output is None and fields.total_tokens is None:
        return None
    if given is None and fields.total_tokens is not None:  # rankers report no more than this
        given = fields.total_tokens - (output or 0)
    read, written = fields.cache_read_input_tokens or 0, fields.cache_creation_input_tokens or 0
    details = fields.prompt_tokens_details or fields.input_tokens_details
    cached = read + ((details.cached_tokens or 0) if details is not None else 0)
    return Usage(max((given or 0) + read + written, 0), max(output or 0, 0), max(cached, 0))


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)
