"""What a client may take of a connection, and what is answered to one that takes more, or speaks no HTTP."""

from collections.abc import Callable
from random import SystemRandom

import msgspec

from aibrix_mw.errors import error_body

_random = SystemRandom()


class Bounds(msgspec.Struct, frozen=True):
    """Seconds for a whole head and between two parts of a body; bytes and fields of a head.

    `refused` hears status and path of each refusal of what never became a request of the application's.
    """

    header_timeout: float = 10.0
    body_timeout: float = 30.0
    max_header_bytes: int = 65_536
    max_headers: int = 100
    refused: Callable[[int, str], None] | None = None


class Refusal(msgspec.Struct, frozen=True):
    """An answer to what never becomes a request of the application's."""

    status: int
    reason: str
    message: str
    code: str

    def answer(self, target: bytes) -> bytes:
        """The answer on the wire, in the shape of the API that the target belongs to as far as it is known."""
        body = error_body(path_of(target), self.status, self.message, self.code)
        lines = (
            f"HTTP/1.1 {self.status} {self.reason}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-request-id: {_random.getrandbits(128):032x}",
            "connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + body


MALFORMED = Refusal(400, "Bad Request", "the request is not valid HTTP", "invalid_request")
TOO_SLOW = Refusal(408, "Request Timeout", "the request did not arrive in time", "request_timeout")
TOO_LARGE = Refusal(431, "Request Header Fields Too Large", "the head of the request is too large", "headers_too_large")


def path_of(target: bytes) -> str:
    """The path of a target that may be anything."""
    return target.partition(b"?")[0].decode("latin-1")


class Deaf:
    """In the place of the parser of a connection that is not listened to any more."""

    def feed_data(self, data: bytes) -> None:
        """Do nothing."""


DEAF = Deaf()
