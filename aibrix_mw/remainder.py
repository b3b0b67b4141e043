"""What follows the part of a client's body that has been read: it streams to the engine."""

from collections.abc import AsyncIterator

from starlette.types import Receive

from aibrix_mw.client import ClientLeft, Presence
from aibrix_mw.errors import RequestTooLarge
from aibrix_mw.request import InferenceRequest


async def remainder(
    request: InferenceRequest, receive: Receive, presence: Presence, max_body_bytes: int
) -> AsyncIterator[bytes]:
    """Chunks after `request.body`, which `receive` yields again first; from the end on, `presence` listens.

    RequestTooLarge when all of the body is more than `max_body_bytes`, InvalidRequest from `request.check`.
    """
    await receive()
    total = len(request.body)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        total += len(chunk)
        if total > max_body_bytes:
            raise RequestTooLarge(max_body_bytes)
        if request.check is not None:
            request.check(chunk)
        yield chunk
    presence.listen()
