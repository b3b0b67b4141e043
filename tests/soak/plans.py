"""One request: its bytes, and when its client leaves."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from aibrix_mw.strategies import TABLE
from tests.soak.seen import ANY
from tests.soak.stage import MODEL

CHAT, COMPLETIONS, FORMS = "/v1/chat/completions", "/v1/completions", "/v1/audio/transcriptions"
STRATEGIES = (*(name for name in TABLE if name != "pd"), "least-request:3,least-latency:1")
PROMPTS = 400
"""Different prompts: so few that the table of prefixes knows all of them after the first third."""


@dataclass
class Plan:
    """One request: what is sent, and when its client leaves. Times are seconds."""

    kind: str
    pieces: list[bytes]
    pause: float = 0.0
    """Between two pieces."""
    pace: float = 0.0
    """Between two reads."""
    stay: float = 60.0
    """For the answer, from when all is sent; a client that has waited so long leaves."""
    upto: float = float("inf")
    """Bytes of the body after which the client leaves."""
    left: frozenset[str] = ANY
    """What it may have been when the client has left."""
    fresh: bool = False
    """Over a connection of its own."""
    lined: bool = True
    """Whether the gateway ever has a request of it; what it counts else is `left` where something is answered."""


Kind = Callable[[Random, str], Plan]
"""Makes a request with this id."""


def request(path: str, body: bytes, fields: dict[str, str], method: str = "POST") -> bytes:
    """One request on the wire; a field overrides what would be there otherwise, and an empty one leaves it out."""
    usual = {"host": "gateway", "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in (usual | fields).items() if value]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


def ask(rng: Random, request_id: str, /, path: str = CHAT, model: str = MODEL, headers=(), **body) -> bytes:
    """An inference request for some prompt and some strategy."""
    prompt = text_of(rng.randrange(PROMPTS))
    text = {"messages": [{"role": "user", "content": prompt}]} if path == CHAT else {"prompt": prompt}
    fields = {"x-request-id": request_id, "routing-strategy": rng.choice(STRATEGIES)} | dict(headers)
    if rng.random() < 0.2:
        fields["x-session-id"] = f"session-{rng.randrange(20)}"
    return request(path, json.dumps({"model": model, **text, **body}).encode(), fields)


def text_of(number: int) -> str:
    """Prompt number so and so; those of a group of ten begin alike."""
    return f"group {number // 10} " * (20 + number // 10) + f"number {number} " * (number % 10)


def cut(raw: bytes, size: int) -> list[bytes]:
    """The bytes in pieces."""
    return [raw[at : at + size] for at in range(0, len(raw), size)]
