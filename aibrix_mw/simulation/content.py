"""From an entry of a workload to what gateway and engine see of it.

The gateway sees JSON, as a client writes it. The engine sees tokens: four bytes of the content each, without the
JSON around it. So block boundaries of the two fall apart, as they do in life.
"""

from functools import lru_cache
from hashlib import blake2b

import msgspec
import xxhash

from aibrix_mw.request import InferenceRequest, RequestFields
from aibrix_mw.simulation.trace import Entry

MODEL = "simulated"
TOKEN_BYTES = 4
_ROLES = ("user", "assistant")


class Content(msgspec.Struct, frozen=True):
    """Tokens of a prompt, and the hashes of the KV blocks of the prompt and of prompt and answer."""

    prompt_tokens: int
    hashes: tuple[int, ...]
    all_hashes: tuple[int, ...]


@lru_cache(maxsize=8192)
def words(name: str, tokens: int) -> bytes:
    """Content of a name: `tokens` times four bytes, different for every name."""
    digest = blake2b(name.encode(), digest_size=8).hexdigest().encode()
    return (digest * (tokens * TOKEN_BYTES // len(digest) + 1))[: tokens * TOKEN_BYTES]


def content_of(entry: Entry, block_tokens: int) -> Content:
    """What an engine computes for an entry."""
    prompt = b"".join([words(name, tokens) for name, tokens in entry.blocks]) or entry.text.encode()
    tokens = -(-len(prompt) // TOKEN_BYTES)
    answer = words(entry.answer or f"answer to {entry.session} at {entry.arrival}", entry.output)
    hashes = _chain(prompt + answer, block_tokens * TOKEN_BYTES)
    return Content(tokens, hashes[: len(prompt) // (block_tokens * TOKEN_BYTES)], hashes)


def _chain(text: bytes, block_bytes: int) -> tuple[int, ...]:
    digest = xxhash.xxh64_intdigest
    hashes, seed = [], 0
    for start in range(0, len(text) - block_bytes + 1, block_bytes):
        seed = digest(text[start : start + block_bytes], seed)
        hashes.append(seed)
    return tuple(hashes)


def request_of(entry: Entry) -> InferenceRequest:
    """What a gateway sees of an entry: a streamed chat, or a completion where the text is given."""
    if entry.blocks:
        path, fields = "/v1/chat/completions", RequestFields(MODEL, stream=True, messages=_messages(entry))
    else:
        prompt = msgspec.Raw(msgspec.json.encode(entry.text))
        path, fields = "/v1/completions", RequestFields(MODEL, stream=True, prompt=prompt)
    headers = {b"x-aibrix-session-key": entry.session.encode()} if entry.session else {}
    return InferenceRequest(
        model=MODEL, requested_model=MODEL, path=path, fields=fields, headers=headers, user=entry.user or None
    )


def _messages(entry: Entry) -> msgspec.Raw:
    """The blocks as messages: a system prompt where there are several, then user and assistant in turn."""
    parts = []
    first_user = 1 if len(entry.blocks) > 1 else 0
    for index, (name, tokens) in enumerate(entry.blocks):
        role = _ROLES[(index - first_user) % 2] if index >= first_user else "system"
        parts.append(b'{"role":"%b","content":"%b"}' % (role.encode(), words(name, tokens)))
    return msgspec.Raw(b"[" + b",".join(parts) + b"]")
