"""What travels down the stack: typed slots in the ASGI scope.

Each slot says its type, who fills it and who reads it. The scope is written in place, because a copy would hide
`route` and `endpoint` from the host application's outer middlewares.
"""

from collections.abc import Awaitable, Iterable
from typing import Generic, TypeVar

import msgspec
from starlette.types import Message, Receive, Scope, Send

from aibrix_mw.errors import GatewayError, Headers
from aibrix_mw.outcome import FailedAttempt, Outcome
from aibrix_mw.paths import INFERENCE_PATHS, route_path
from aibrix_mw.pods.pod import Lease, Target
from aibrix_mw.pods.selector import Selector
from aibrix_mw.profiles import ConfigProfile
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Strategy

T = TypeVar("T")


class Plan(msgspec.Struct, frozen=True):
    """How a request is to be routed: known before anything is counted or sent."""

    strategy: Strategy
    strategy_name: str
    source: str  # locked, header, profile, default or responses
    selector: Selector | None = None
    hide_target: bool = False


class Attempt(msgspec.Struct, frozen=True):
    """One try on a pod, and which ones have failed so far; at the end, itself included.

    `number` counts from 1. `started` is when routing started, by the event loop's clock: timers run over all attempts.
    `picked` is when the pod was chosen, by `time.perf_counter`; `pick_seconds` is what the strategy took.
    """

    number: int
    started: float
    picked: float = 0.0
    pick_seconds: float = 0.0
    failed: tuple[FailedAttempt, ...] = ()


class Slot(Generic[T]):
    """One typed key of the ASGI scope."""

    __slots__ = ("filled_by", "key")

    def __init__(self, name: str, filled_by: str) -> None:
        self.key = f"aibrix_mw.{name}"
        self.filled_by = filled_by

    def get(self, scope: Scope) -> T | None:
        """The value, or None when nobody has put one."""
        return scope.get(self.key)

    def require(self, scope: Scope) -> T:
        """The value; LookupError naming the missing middleware when nobody has put one."""
        try:
            value: T = scope[self.key]
        except KeyError:
            raise LookupError(f"{self.key} is not in the scope: {self.filled_by} must be outside of this") from None
        return value

    def put(self, scope: Scope, value: T) -> None:
        """Set the value for everyone inside, and for those outside after the inner call returns."""
        scope[self.key] = value


REQUEST_ID: Slot[bytes] = Slot("request_id", "RequestIdMiddleware")  # as the engine gets it
REQUEST: Slot[InferenceRequest] = Slot("request", "ModelMiddleware")
PROFILE: Slot[ConfigProfile] = Slot("profile", "ProfileMiddleware")
PLAN: Slot[Plan] = Slot("plan", "PlanMiddleware")
TARGET: Slot[Target] = Slot("target", "RoutingMiddleware")
ATTEMPT: Slot[Attempt] = Slot("attempt", "RoutingMiddleware")
LEASE: Slot[Lease] = Slot("lease", "RoutingMiddleware")
OUTCOME: Slot[Outcome] = Slot("outcome", "whoever ends the request")
HEADERS: Slot[dict[bytes, bytes]] = Slot("headers", "headers_of()")
ANSWER_HEADERS: Slot[Headers] = Slot("answer_headers", "answer_headers()")


class InferencePaths:
    """The POST paths that a middleware acts on; everything else passes it untouched."""

    def __init__(self, paths: Iterable[str] = INFERENCE_PATHS) -> None:
        self._paths = frozenset(paths)

    def match(self, scope: Scope) -> bool:
        """Whether the scope is an inference request: HTTP, POST, and a path of the list."""
        return scope["type"] == "http" and scope["method"] == "POST" and route_path(scope) in self._paths

    def request(self, scope: Scope) -> InferenceRequest | None:
        """The inference request that the model middleware has read; None when the scope is none."""
        request = REQUEST.get(scope)
        if request is None and self.match(scope):
            return REQUEST.require(scope)
        return request


CLIENT_LEFT = Outcome(name="client_cancelled", status=499)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by lower-case name; of several equal names the last one. Made once a request."""
    headers = HEADERS.get(scope)
    if headers is None:
        headers = dict(scope["headers"])
        HEADERS.put(scope, headers)
    return headers


def answer_headers(scope: Scope, send: Send, headers: Headers) -> Send:
    """Add headers to whatever answer this request gets; returns the `send` to hand inwards.

    The outermost caller wraps `send`; those inside of it only extend the slot, so that a streamed chunk passes one
    layer however many middlewares have something to say.
    """
    known = ANSWER_HEADERS.get(scope)
    if known is not None:
        ANSWER_HEADERS.put(scope, (*known, *headers))
        return send
    ANSWER_HEADERS.put(scope, tuple(headers))

    def send_with_headers(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *ANSWER_HEADERS.require(scope)]
        return send(message)

    return send_with_headers


async def refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error and record it as the request's outcome."""
    OUTCOME.put(scope, Outcome(name=error.outcome, status=error.status))
    await error.respond(scope, receive, send)
