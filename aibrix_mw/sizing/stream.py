"""The tokens of one streamed answer."""

from typing import Any

import msgspec


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Text | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Event(msgspec.Struct):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class TokenStream:
    """Reads server-sent events as their bytes come, wherever they are split.

    `first` and `last` are the instants of the first and the last token. `tokens` is the engine's own count where it
    gives one, else the number of events with text. `complete` is set by `[DONE]`, `failure` by an event with an error.
    """

    __slots__ = ("_held", "complete", "failure", "first", "last", "prompt_tokens", "tokens")

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self.tokens = 0
        self.prompt_tokens = 0
        self.complete = False
        self.failure: str | None = None
        self._held = b""

    def feed(self, chunk: bytes, now: float) -> None:
        """Take bytes that arrived at `now`; ValueError for an event that is not one of OpenAI's."""
        lines = (self._held + chunk).split(b"\n")
        self._held = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now)

    def _event(self, data: bytes, now: float) -> None:
        if data == b"[DONE]":
            self.complete = True
            return
        event = _decode(data)
        if event.error is not None:
            self.failure = message_of(data)
        if any(map(_has_text, event.choices)):
            if self.first is None:
                self.first = now
            self.last = now
            self.tokens += 1
        if event.usage is not None:
            self.tokens = event.usage.completion_tokens or self.tokens
            self.prompt_tokens = event.usage.prompt_tokens or self.prompt_tokens


def _has_text(choice: _Choice) -> bool:
    delta = choice.delta
    return bool(
        choice.text or (delta and (delta.content or delta.reasoning or delta.reasoning_content or delta.tool_calls))
    )


def message_of(body: bytes) -> str:
    """The message of an error in OpenAI's, vLLM's or FastAPI's shape, at most 200 characters; else the body's begin."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        found = None
    error = found.get("error", found) if isinstance(found, dict) else None
    text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    if isinstance(text, str):
        return text[:200]
    return " ".join(body.decode("utf-8", "replace").split())[:200]
