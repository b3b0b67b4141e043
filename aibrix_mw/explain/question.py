"""What somebody wants explained: the body of `POST /explain`."""

from collections.abc import Mapping

import msgspec
from starlette.types import Scope

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.splice import JsonObject


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """A request that nobody sends.

    `body` is what the client would send: a JSON object, or its text as a string, since strategies look at bytes; by
    default a chat without messages. `model` takes the place of the body's own. `headers` by name.
    """

    model: str | None = None
    headers: Mapping[str, str] = {}
    body: msgspec.Raw = msgspec.Raw()
    path: str = "/v1/chat/completions"


_decode = msgspec.json.Decoder(Question).decode


def parse_question(text: bytes) -> Question:
    """Read the question; InvalidRequest says what is wrong with it."""
    try:
        question = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the question: {error}") from None
    if question.model is None and not question.body:
        raise InvalidRequest("the question needs a model, or a body that names one", param="model")
    for name, value in question.headers.items():
        if not name.isascii() or any(character in "\r\n\0" for character in value):
            raise InvalidRequest(f"header {name} cannot be sent", param="headers")
    return question


def body_of(question: Question) -> bytes:
    """The bytes that the client would send."""
    raw = bytes(question.body)
    if raw.startswith(b'"'):
        raw = msgspec.json.decode(raw, type=str).encode()
    if question.model is None:
        return raw
    named = msgspec.json.encode(question.model)
    if not raw or raw == b"null":
        return b'{"model":%b,"messages":[]}' % named
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw  # the gateway says what is wrong with it
    return JsonObject(raw).edited({"model": named}) if members else b'{"model":%b}' % named


def scope_of(question: Question, paths: frozenset[str] = INFERENCE_PATHS) -> Scope:
    """The ASGI scope of the request; InvalidRequest where its path is not one that engines get."""
    if question.path not in paths:
        raise InvalidRequest(f"{question.path} is not a path that is forwarded to engines", param="path")
    return {
        "type": "http",
        "method": "POST",
        "path": question.path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in question.headers.items()],
    }
