"""The JSON that comes back: chat completions, completions, embeddings, models, in vLLM's shapes."""

import base64
import time
from typing import Any, Protocol

import msgspec

from aibrix_mw.engine import text
from aibrix_mw.engine.options import EngineOptions

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
DEFAULT_DIMENSIONS = 16


class Shape(Protocol):
    """How one of the two text APIs words an answer. All methods give an entry of `choices`."""

    prefix: str
    whole_object: str
    chunk_object: str

    def opening(self) -> Json | None:
        """Give what a stream begins with, before the first token; None: nothing."""
        ...

    def piece(self, token: str) -> Json:
        """Give one token of a stream."""
        ...

    def ending(self, reason: str) -> Json:
        """Give the end of a stream."""
        ...

    def whole(self, answer: str, reason: str) -> Json:
        """Give an answer that is not streamed."""
        ...


class Chat:
    """`/v1/chat/completions`."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def opening(self) -> Json:
        """Name the role."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, token: str) -> Json:
        """Add to the content."""
        return self._chunk({"content": token}, None)

    def ending(self, reason: str) -> Json:
        """Add nothing but the reason."""
        return self._chunk({}, reason)

    def whole(self, answer: str, reason: str) -> Json:
        """Give the message."""
        message: Json = {"role": "assistant", "content": answer, "refusal": None, "tool_calls": []}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": reason, "stop_reason": None}

    def _chunk(self, delta: Json, reason: str | None) -> Json:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


class Completion:
    """`/v1/completions`, whose chunks and whole answers look alike."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def opening(self) -> None:
        """Begin with the first token."""

    def piece(self, token: str) -> Json:
        """Give the token."""
        return self._choice(token, None)

    def ending(self, reason: str) -> Json:
        """Give the reason and no text."""
        return self._choice("", reason)

    def whole(self, answer: str, reason: str) -> Json:
        """Give the text."""
        return self._choice(answer, reason)

    def _choice(self, answer: str, reason: str | None) -> Json:
        return {"index": 0, "text": answer, "logprobs": None, "finish_reason": reason, "stop_reason": None}


class Envelope:
    """What the chunks of one answer have in common: id, time, model, and who made it up."""

    def __init__(self, shape: Shape, request_id: str, model: str, fingerprint: str) -> None:
        self._shape = shape
        self._head = {"id": shape.prefix + request_id, "object": shape.chunk_object, "created": int(time.time())}
        self._tail = {"model": model, "system_fingerprint": fingerprint}

    def event(self, choice: Json | None, usage: Json | None = None) -> bytes:
        """Give one SSE event; with usage, `choices` is empty and `choice` None."""
        body: Json = {**self._head, **self._tail, "choices": [] if choice is None else [choice]}
        if usage is not None:
            body["usage"] = usage
        return b"data: " + msgspec.json.encode(body) + b"\n\n"

    def whole(self, choice: Json, usage: Json) -> Json:
        """Give an answer that is not streamed."""
        return {**self._head, "object": self._shape.whole_object, **self._tail, "choices": [choice], "usage": usage}


def usage_of(prompt: int, completion: int, cached: int) -> Json:
    """Give the token counts."""
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def embeddings(request_id: str, model: str, vectors: list[list[float]], tokens: int, *, as_base64: bool) -> Json:
    """Give the vectors, as numbers or as base64 of little-endian float32."""
    written = [base64.b64encode(text.pack_floats(v)).decode() for v in vectors] if as_base64 else vectors
    return {
        "id": f"embd-{request_id}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [{"index": i, "object": "embedding", "embedding": vector} for i, vector in enumerate(written)],
        "usage": usage_of(tokens, 0, 0),
    }


def models(options: EngineOptions, created: int) -> Json:
    """Give the list of models: served names, then adapters with the name that they belong to."""
    names = [(name, None) for name in options.models] + [(name, options.model) for name in options.adapters]
    return {"object": "list", "data": [model_card(name, parent, options, created) for name, parent in names]}


def model_card(name: str, parent: str | None, options: EngineOptions, created: int) -> Json:
    """Give one entry of the list; an adapter has a parent and no length of its own."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "aibrix-mw simulated engine",
        "root": name if parent else options.model,
        "parent": parent,
        "max_model_len": None if parent else options.max_model_len,
        "permission": [],
    }
