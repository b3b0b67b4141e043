"""What must be the same in two answers to the same question."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx

# what an engine makes anew for each answer
FRESH = re.compile(
    rb'"(?:id|item_id|request_id|created|created_at|completed_at|system_fingerprint)":\s*(?:"[^"]*"|[\d.]+)'
)
OUR_HEADERS = {"x-request-id", "x-aibrix-config-profile", "routing-strategy", "target-pod", "target-pod-ip"}


def lasting(body: bytes) -> bytes:
    """A body without what differs from answer to answer."""
    return FRESH.sub(b"", body)


def kept_headers(answer: httpx.Response) -> list[tuple[bytes, bytes]]:
    """The engine's end-to-end headers, in their order; without values that differ from answer to answer."""
    left_out = {b"date", b"content-length", b"transfer-encoding", b"connection", *map(str.encode, OUR_HEADERS)}
    return [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in left_out]


def outline(stream: str) -> tuple[Any, str, Any]:
    """First event, all that is said, last event: into how many events an engine cuts its text is a matter of time."""
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: {")]
    said = "".join(text for event in events for text in texts_of(event))
    return shape_of(events[0]), said, shape_of(events[-1])


def shape_of(value: Any) -> Any:
    """A JSON value with its keys and types, and nothing of what it says."""
    if isinstance(value, dict):
        return {key: value[key] if key == "type" else shape_of(value[key]) for key in value}
    return [shape_of(item) for item in value] if isinstance(value, list) else type(value).__name__


def texts_of(value: Any) -> Iterator[str]:
    """What is said in a JSON value, in whichever API's words."""
    if isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, dict):
        for key in value:
            if isinstance(value[key], str) and key in {"content", "delta", "text"}:
                yield value[key]
            yield from texts_of(value[key])
