"""What goes over the wire: the client's requests, the engine's answers, and how many bytes each answer has."""

import json
from typing import Final

MODEL: Final = "bench"
KINDS: Final = ("json", "sse", "split", "spaced")
HELD: Final = "held"
"""A stream that never goes on after its first event; no load of the tables."""
CHUNKS: Final = 32
SPACING_MS: Final = 5
REQUEST_BODY_BYTES: Final = 900
_USAGE: Final = {"prompt_tokens": 212, "completion_tokens": CHUNKS, "total_tokens": 212 + CHUNKS}


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def completion() -> bytes:
    """Give the body of a JSON answer, about 300 bytes."""
    message = {"role": "assistant", "content": "A gateway that costs nothing is best."}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion", "created": 1764000000, "model": MODEL}
    return _compact(answer | {"choices": [choice], "usage": _USAGE})


def prefilled() -> bytes:
    """Give the body of a prefill engine's answer: one token, and where the 14 blocks of the prompt are."""
    params = {"do_remote_prefill": True, "do_remote_decode": False, "remote_block_ids": [list(range(14))]}
    params |= {"remote_engine_id": "0123456789abcdef", "remote_host": "127.0.0.1", "remote_port": 5600, "tp_size": 1}
    return _compact(json.loads(completion()) | {"kv_transfer_params": params})


def events() -> list[bytes]:
    """Give the 32 events of a stream, the last one with the usage and `[DONE]`."""
    base = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1764000000, "model": MODEL}
    choice = {"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}
    token = b"data: " + _compact(base | {"choices": [choice]}) + b"\n\n"
    last = b"data: " + _compact(base | {"choices": [], "usage": _USAGE}) + b"\n\ndata: [DONE]\n\n"
    return [token] * (CHUNKS - 1) + [last]


def request_body(kind: str) -> bytes:
    """Give a chat request of exactly 900 bytes; `user` tells the engine how to send the chunks of a stream."""
    user = f"spaced-{SPACING_MS}" if kind == "spaced" else kind
    system = {"role": "system", "content": "You are a helpful assistant."}
    value = {"model": MODEL, "user": user, "stream": kind != "json", "max_tokens": 64, "temperature": 0.7}
    empty = len(_compact(value | {"messages": [system, {"role": "user", "content": ""}]}))
    prompt = ("Tell me about load balancing. " * REQUEST_BODY_BYTES)[: REQUEST_BODY_BYTES - empty]
    return _compact(value | {"messages": [system, {"role": "user", "content": prompt}]})


def request(kind: str, port: int) -> bytes:
    """Give the whole HTTP request as a client sends it to 127.0.0.1:port."""
    body = request_body(kind)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        "accept: */*\r\n"
        "user-agent: bench/1\r\n"
        "authorization: Bearer sk-bench\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_bytes(kind: str) -> int:
    """Give how many bytes the body of a right answer has, chunk framing excluded."""
    return len(completion()) if kind == "json" else sum(map(len, events()))
