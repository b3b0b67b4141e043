"""What the engine was asked, so that tests can say what reached it."""

from collections import Counter, deque

import msgspec
from starlette.types import Scope

KEPT_REQUESTS = 64
KEPT_BODY_BYTES = 65536


class Seen(msgspec.Struct, frozen=True):
    """One inference request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    """In the order of arrival, names in lower case, doubles kept."""
    body: str
    """At most 64 KiB; what is no UTF-8 is replaced."""
    body_bytes: int
    """Length of the whole body."""


class Journal:
    """Counts per path for all requests; the last 64 inference requests in full, oldest first."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.last: deque[Seen] = deque(maxlen=KEPT_REQUESTS)

    def note(self, scope: Scope, path: str, body: bytes) -> None:
        """Keep an inference request."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        kept = body[:KEPT_BODY_BYTES].decode("utf-8", "replace")
        self.last.append(Seen(scope["method"], path, headers, kept, len(body)))
