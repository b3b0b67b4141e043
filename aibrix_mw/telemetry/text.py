"""Prompts and answers as spans carry them, where a setting says so: `gen_ai.input.messages`, `gen_ai.output.messages`.

Messages are lists of parts; what is no text is named by its type and left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aibrix_mw.request import InferenceRequest

_decode = msgspec.json.Decoder().decode


def input_messages(request: InferenceRequest) -> str:
    """The messages of a request, as JSON; a prompt is a message of the user's."""
    fields = request.fields
    for raw in (fields.messages, fields.prompt, fields.input):
        given = _read(bytes(raw))
        if given is not None:
            return _encode([*_messages(given)])
    return "[]"


class AnswerText:
    """The text of an answer, put together from what `take` is given: a whole answer, or its events in order."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}

    def take(self, data: bytes) -> None:
        """Read a JSON answer, or the data of one event."""
        found = _read(data)
        if isinstance(found, dict):
            for index, text in _texts(found):
                self._texts.setdefault(index, []).append(text)

    def messages(self, reasons: Sequence[str]) -> str:
        """One message of the assistant's for each choice, as JSON; `reasons` say in order why each ended."""
        made = [_message("assistant", "".join(texts)) for _, texts in sorted(self._texts.items())]
        for message, reason in zip(made, reasons, strict=False):
            message["finish_reason"] = reason
        return _encode(made)


def _messages(given: object) -> Iterator[dict[str, Any]]:
    if isinstance(given, list) and any(isinstance(item, dict) for item in given):
        for item in given:
            if isinstance(item, dict):
                yield _message(str(item.get("role", "user")), item.get("content"))
    else:
        yield _message("user", given if isinstance(given, str) else _encode(given))


def _message(role: str, content: object) -> dict[str, Any]:
    pieces = content if isinstance(content, list) else [] if content is None else [content]
    return {"role": role, "parts": [_part(piece) for piece in pieces]}


def _part(piece: object) -> dict[str, str]:
    if isinstance(piece, dict):
        text = piece.get("text")
        if not isinstance(text, str):
            return {"type": str(piece.get("type", "unknown"))}
        piece = text
    return {"type": "text", "content": str(piece)}


def _texts(answer: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """What an answer or an event says, by the number of the choice: OpenAI's shapes, then Anthropic's."""
    for choice in _dicts(answer.get("choices")):
        for said in (choice, choice.get("message"), choice.get("delta")):
            yield from _said(choice.get("index"), said)
    for part in _dicts(answer.get("content")):
        yield from _said(0, part)
    for item in _dicts(answer.get("output")):
        for part in _dicts(item.get("content")):
            yield from _said(0, part)
    delta = answer.get("delta")
    if answer.get("type") == "response.output_text.delta" and isinstance(delta, str):
        yield 0, delta
    elif isinstance(delta, dict):
        yield from _said(0, delta)


def _said(index: object, said: object) -> Iterator[tuple[int, str]]:
    if isinstance(said, dict):
        for key in ("content", "text"):
            if isinstance(said.get(key), str):
                yield index if isinstance(index, int) else 0, said[key]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _read(data: bytes) -> object:
    try:
        found: object = _decode(data) if data else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
