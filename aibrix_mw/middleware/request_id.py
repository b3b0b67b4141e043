"""RequestIdMiddleware: every answer carries `x-request-id`, and no engine sees one id twice at a time."""

import re
from random import Random, SystemRandom
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.scope import REQUEST_ID, answer_headers, headers_of

_VALID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_SUFFIX_ROOM = 128 - 9


class RequestIdMiddleware:
    """Keeps a valid inbound `x-request-id`, else makes one.

    While an id is in flight here, a second request of the same id reaches its engine with a random suffix; the client
    gets its own id back. Engines key requests by it.
    """

    def __init__(self, app: ASGIApp, *, rng: Random | None = None) -> None:
        self.app = app
        self.rng = rng or Random(SystemRandom().getrandbits(128))
        self._in_flight: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the inner application under an id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inbound = headers_of(scope).get(b"x-request-id")
        client_id = inbound if inbound is not None and _VALID.fullmatch(inbound) else self._random(128)
        engine_id = client_id
        while engine_id in self._in_flight:
            engine_id = client_id[:_SUFFIX_ROOM] + b"-" + self._random(32)
        REQUEST_ID.put(scope, engine_id)
        self._in_flight.add(engine_id)
        try:
            await self.app(scope, receive, answer_headers(scope, send, ((b"x-request-id", client_id),)))
        finally:
            self._in_flight.discard(engine_id)

    def _random(self, bits: int) -> bytes:
        return b"%0*x" % (bits // 4, self.rng.getrandbits(bits))
