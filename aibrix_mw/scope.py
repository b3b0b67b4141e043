"""What travels down the stack: typed slots in the ASGI scope.

Each slot says its type, who fills it and who reads it. The scope is written in place, because a copy would hide
`route` and `endpoint` from the host application's outer middlewares.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Generic, TypeVar

from starlette.types import Message, Receive, Scope, Send

from aibrix_mw.errors import REFUND, GatewayError, Headers
from aibrix_mw.keys import Key
from aibrix_mw.outcome import Attempt, Outcome, Prefill
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.pods.lease import Lease
from aibrix_mw.pods.pod import Target
from aibrix_mw.profiles import ConfigProfile
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.plan import Plan
from aibrix_mw.trace import Trace
from aibrix_mw.usage import UsageReader

T = TypeVar("T")


class Slot(Generic[T]):
    """One typed key of the ASGI scope."""

    __slots__ = ("filled_by", "key")

    def __init__(self, name: str, filled_by: str) -> None:
        self.key = f"aibrix_mw.{name}"
        self.filled_by = filled_by

    def get(self, scope: Scope) -> T | None:
        """The value, or None when nobody has put one."""
        return scope[self.key] if self.key in scope else None  # noqa: SIM401 - no method call: half the cost

    def require(self, scope: Scope) -> T:
        """The value; LookupError naming the missing middleware when nobody has put one."""
        try:
            value: T | None = scope[self.key]
        except KeyError:
            value = None
        if value is None:
            raise LookupError(f"{self.key} is not in the scope: {self.filled_by} must be outside of this")
        return value

    def put(self, scope: Scope, value: T) -> None:
        """Set the value for everyone inside, and for those outside after the inner call returns."""
        scope[self.key] = value

    def leave_empty(self, scope: Scope) -> None:
        """Say that there is no value on purpose: nobody is missing outside."""
        scope[self.key] = None


REQUEST_ID: Final[Slot[bytes]] = Slot("request_id", "RequestIdMiddleware")  # as the engine gets it
KEY: Final[Slot[Key]] = Slot("key", "AuthMiddleware")
REQUEST: Final[Slot[InferenceRequest]] = Slot("request", "ModelMiddleware")
PROFILE: Final[Slot[ConfigProfile]] = Slot("profile", "ProfileMiddleware")
PLAN: Final[Slot[Plan]] = Slot("plan", "PlanMiddleware")
TARGET: Final[Slot[Target]] = Slot("target", "RoutingMiddleware")
ATTEMPT: Final[Slot[Attempt]] = Slot("attempt", "RoutingMiddleware")
LEASE: Final[Slot[Lease]] = Slot("lease", "RoutingMiddleware")
PREFILLS: Final[Slot[tuple[Prefill, ...]]] = Slot("prefills", "DisaggregationMiddleware")
OUTCOME: Final[Slot[Outcome]] = Slot("outcome", "whoever ends the request")
USAGE: Final[Slot[UsageReader]] = Slot("usage", "want_usage()")
HEADERS: Final[Slot[dict[bytes, bytes]]] = Slot("headers", "headers_of()")
ANSWER_HEADERS: Final[Slot[list[tuple[bytes, bytes]]]] = Slot("answer_headers", "answer_headers()")
REFUNDS: Final[Slot[tuple[Callable[[], Awaitable[None]], ...]]] = Slot("refunds", "give_back_on_refund()")
REFUNDED: Final[Slot[bool]] = Slot("refunded", "give_back_on_refund()")
TRACE: Final[Slot[Trace]] = Slot("trace", "TracingMiddleware")  # of a request that is recorded
LIMIT_HIT: Final[Slot[object]] = Slot("limit_hit", "RateLimitMiddleware")  # what was counted for the model's limits


class InferencePaths:
    """The POST paths that a middleware acts on; everything else passes it untouched."""

    def __init__(self, paths: Iterable[str] = INFERENCE_PATHS) -> None:
        self.names = frozenset(paths)

    def match(self, scope: Scope) -> bool:
        """Whether the scope is an inference request: HTTP, POST, and a path of the list."""
        return scope["type"] == "http" and scope["method"] == "POST" and route_path(scope) in self.names

    def request(self, scope: Scope) -> InferenceRequest | None:
        """The inference request that the model middleware has read; None when the scope is none, or nobody's model."""
        request = REQUEST.get(scope)
        if request is None and REQUEST.key not in scope and self.match(scope):
            return REQUEST.require(scope)
        return request


CLIENT_LEFT = Outcome(name="client_cancelled", status=499)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by lower-case name; of several equal names the last one. Made once a request."""
    headers = HEADERS.get(scope)
    if headers is None:
        headers = scope[HEADERS.key] = {}
        for header in scope["headers"]:
            headers[header[0]] = header[1]
    return headers


def answer_headers(scope: Scope, send: Send, headers: Headers) -> Send:
    """Add headers to whatever answer this request gets; returns the `send` to hand inwards.

    The outermost caller wraps `send`; those inside of it only extend the slot, so that a streamed chunk passes one
    layer however many middlewares have something to say.
    """
    known = ANSWER_HEADERS.get(scope)
    if known is not None:
        known += headers
        return send
    added = scope[ANSWER_HEADERS.key] = list(headers)

    def send_with_headers(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
            if REFUND in message and REFUNDS.key in scope:
                return _refund_and_send(scope, message, send)
        return send(message)

    return send_with_headers


def want_usage(scope: Scope) -> UsageReader:
    """The reader that our proxy feeds with its answer: the one in the slot, else a fresh one."""
    reader = USAGE.get(scope)
    if reader is None:
        reader = scope[USAGE.key] = UsageReader()
    return reader


def read_usage(scope: Scope, send: Send) -> Send:
    """Have the answer's usage read in passing, unless somebody outside does; returns the `send` to hand inwards.

    Our proxy feeds any reader in the slot by itself; this is for answers that come from elsewhere.
    """
    reader = want_usage(scope)
    if reader.in_passing:
        return send
    reader.in_passing = True

    def read_and_send(message: Message) -> Awaitable[None]:
        if reader.at_source:
            pass
        elif message["type"] == "http.response.body":
            reader.feed(message.get("body", b""))
        elif message["type"] == "http.response.start":
            reader.start(message.get("headers", ()))
        return send(message)

    return read_and_send


def give_back_on_refund(scope: Scope, give_back: Callable[[], Awaitable[None]]) -> None:
    """Have `give_back` called before an answer starts that used nothing; needs `answer_headers` on the way out.

    It must not hold the scope, which then would hold itself.
    """
    REFUNDS.put(scope, (give_back, *(REFUNDS.get(scope) or ())))


async def _refund_and_send(scope: Scope, message: Message, send: Send) -> None:
    await give_back_now(scope)
    await send(message)


async def give_back_now(scope: Scope) -> None:
    """Give back what limits have counted, if anything."""
    if REFUNDS.key in scope:
        REFUNDED.put(scope, True)
        for give_back in scope.pop(REFUNDS.key):
            await give_back()


async def refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error and record it as the request's outcome."""
    OUTCOME.put(scope, Outcome(name=error.outcome, status=error.status, requested_model=error.requested_model))
    await error.respond(scope, receive, send)
