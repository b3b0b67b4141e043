"""What a span says of an answer: model, why it ended, tokens. Read in passing, and only for recorded requests."""

import re
from collections.abc import Iterable

import msgspec

from aibrix_mw.telemetry.text import AnswerText
from aibrix_mw.tokens import Usage
from aibrix_mw.usage import UsageReader

_REASON = re.compile(rb'"(?:finish|stop)_reason"\s*:\s*"')
_LONGEST_BYTES = 1 << 20  # of a JSON answer, or of one event; a longer one is not looked into


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    stop_reason: object = None


class _Part(msgspec.Struct):
    """A part that has a model or a reason of its own: Anthropic's message and its delta, OpenAI's response."""

    model: str | None = None
    stop_reason: str | None = None


class _Fields(msgspec.Struct):
    """Top-level fields of an answer or of an event of one; text is skipped, not decoded."""

    model: str | None = None
    stop_reason: object = None
    choices: list[_Choice] = []
    message: _Part | None = None
    delta: _Part | str | None = None
    response: _Part | None = None


_decode = msgspec.json.Decoder(_Fields).decode


class AnswerReader:
    """Reads one answer from its chunks, wherever they are split; `text` gets all of it, where that is wanted."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], text: AnswerText | None = None) -> None:
        self.text = text
        fields = dict(headers)
        kind = fields.get(b"content-type", b"").lower()
        plain = fields.get(b"content-encoding", b"identity") == b"identity"
        self._events = plain and kind.startswith(b"text/event-stream")
        self._json = plain and kind.startswith(b"application/json")
        self._usage = UsageReader()
        self._usage.start(fields.items())
        self._held = b""
        self.model: str | None = None
        self.finish_reasons: list[str] = []

    @property
    def usage(self) -> Usage | None:
        """The engine's count of tokens; None until there is one."""
        return self._usage.usage

    def feed(self, chunk: bytes) -> None:
        """Look at the next chunk."""
        if not (self._events or self._json):
            return
        self._usage.feed(chunk)
        self._held += chunk
        if self._events:
            *lines, self._held = self._held.split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and (self.text or self.model is None or _REASON.search(line)):
                    self._take(line[5:])
        if len(self._held) > _LONGEST_BYTES:
            self._held, self._json, self._events = b"", False, False

    def end(self) -> None:
        """Hear that the answer is complete: a JSON answer is read now."""
        if self._json:
            self._take(self._held)

    def _take(self, text: bytes) -> None:
        if self.text is not None:
            self.text.take(text)
        try:
            fields = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        parts = [part for part in (fields.message, fields.delta, fields.response) if isinstance(part, _Part)]
        if self.model is None:
            self.model = next((model for model in (fields.model, *(part.model for part in parts)) if model), None)
        reasons = [choice.finish_reason for choice in fields.choices]
        reasons += [part.stop_reason for part in parts]
        if isinstance(fields.stop_reason, str):
            reasons.append(fields.stop_reason)
        self.finish_reasons += filter(None, reasons)
