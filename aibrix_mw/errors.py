"""The error tree.

    ConfigurationError              a file, variable or annotation is wrong: every fault with its path
    GatewayError                    a request ends here with an answer of our own (contract: refusals)
    ├── PathNotFound 404, MethodNotAllowed 405
    ├── InvalidHead 400             ├── HeadTooLarge 431
    ├── InvalidRequest 400          ├── UnsupportedValue; RequestTooLarge 413, UnsupportedEncoding 415
    ├── UnknownModel 404
    ├── NoReadyPods 503
    ├── RoutingError 400            ├── UnknownStrategy, InvalidExternalFilter; FilterMatchesNone, PairUnavailable 503
    ├── InvalidKey 401, ModelNotAllowed 403
    ├── LimitExceeded, UserLimitExceeded, InflightExceeded 429
    ├── Unavailable 503             ├── Draining, StoreRefused
    └── UpstreamError 502           ├── ConnectTimeout; UpstreamTimeout 504, PrefillFailed 503

A GatewayError never leaves the middleware that raised it, except an UpstreamError before the first byte: that one
travels to the routing middleware, which may try another pod. The file is long because there are that many refusals.
"""

import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from aibrix_mw.paths import is_anthropic, route_path

Headers = Sequence[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    503: "overloaded_error",
}
_REFLECTED_BYTES = 256
REFUND = "aibrix_mw.refund"
"""Key of an `http.response.start` message: True gives back what limits have counted for the request."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong in a configuration: where, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ConfigurationError(Exception):
    """A configuration cannot be used. `faults` names all that is wrong, each with path and reason."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = list(faults)


def forget_frames(error: BaseException) -> None:
    """Take the tracebacks from an error and from what it came of.

    Their frames hold the whole request, and the error itself: all of it would wait for a search for garbage.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


def reflect(text: str) -> bytes:
    """Client text as a safe header value: visible ASCII, the rest percent-encoded, at most 256 bytes."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text.encode()[:_REFLECTED_BYTES]
    return quote(text, safe="!#$&'()*+,/:;=?@[]~").encode()[:_REFLECTED_BYTES]


def error_type(status: int) -> str:
    """OpenAI's `type` for an answer with this status."""
    return _TYPE_BY_STATUS.get(status, "api_error")


def error_body(path: str, status: int, message: str, code: str, param: str | None = None) -> bytes:
    """JSON error in the shape of the API that the path belongs to."""
    kind = error_type(status)
    if is_anthropic(path):
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
    error = {"message": message, "type": kind, "code": code}
    return msgspec.json.encode({"error": error if param is None else error | {"param": param}})


class GatewayError(Exception):
    """An answer of the gateway's own: status, OpenAI error body, headers, and the outcome that is counted.

    `refund` says whether limits get back what they counted: no engine has seen any of the request.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    outcome: ClassVar[str] = "internal_error"
    requested_model: str | None = None
    headers: Headers = ()
    refund: bool = True

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request with this error; an ASGI application."""
        body = error_body(route_path(scope), self.status, self.message, self.code, self.param)
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length), *self.headers]
        start: dict[str, Any] = {"type": "http.response.start", "status": self.status, "headers": headers}
        if self.refund:
            start[REFUND] = True
        await send(start)
        await send({"type": "http.response.body", "body": body})


class PathNotFound(GatewayError):
    """No such path here; engines' other paths are not for clients."""

    status = 404
    code = "not_found"
    outcome = "not_found"


class MethodNotAllowed(GatewayError):
    """The path exists, with another method."""

    status = 405
    code = "method_not_allowed"
    outcome = "not_found"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.headers = ((b"allow", allow.encode()),)


class InvalidHead(GatewayError):
    """The request's head is not well-formed, or not unmistakably one request: nothing behind it is read."""

    status = 400
    code = "invalid_request"
    outcome = "bad_request"
    headers = ((b"connection", b"close"),)


class HeadTooLarge(InvalidHead):
    """The head is over `limits.max_header_bytes` or `limits.max_headers`, or its target is too long."""

    status = 431
    code = "headers_too_large"


class InvalidRequest(GatewayError):
    """The body cannot be understood as far as the gateway must understand it."""

    status = 400
    code = "invalid_request"
    outcome = "bad_request"
    headers = ((b"x-error-request-body-processing", b"true"),)


class RequestTooLarge(InvalidRequest):
    """The body is over `limits.max_body_bytes`."""

    status = 413
    code = "request_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed."""

    status = 415
    code = "unsupported_encoding"


class UnsupportedValue(InvalidRequest):
    """A value that this deployment cannot serve."""

    code = "unsupported_value"


class UnknownModel(GatewayError):
    """No pod, alias or setting names this model."""

    status = 404
    code = "model_not_found"
    outcome = "unknown_model"

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model} does not exist", param="model")
        self.headers = ((b"x-error-no-model-backends", reflect(model)),)
        self.requested_model = model


class InvalidKey(GatewayError):
    """The request carries no key of this gateway's."""

    status = 401
    code = "invalid_api_key"
    outcome = "unauthorized"
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self) -> None:
        super().__init__("Incorrect API key provided")


class ModelNotAllowed(GatewayError):
    """The key is good, and not for this model or profile."""

    status = 403
    code = "model_not_allowed"
    outcome = "unauthorized"

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model} is not allowed for this key")


class LimitExceeded(GatewayError):
    """More requests than a limit lets pass; `reset` is the seconds until its window ends."""

    status = 429
    code = "rate_limit_exceeded"
    outcome = "limited"
    header: ClassVar[bytes] = b"x-error-model-rps-exceeded"

    def __init__(self, message: str, reset: float) -> None:
        super().__init__(message)
        self.headers = ((self.header, b"true"), (b"retry-after", b"%d" % max(1, math.ceil(reset))))


class InflightExceeded(GatewayError):
    """Every pod that could take the request has as many as its profile allows."""

    status = 429
    code = "replica_inflight_exceeded"
    outcome = "inflight_limited"
    headers = ((b"x-error-replica-inflight-exceeded", b"true"), (b"retry-after", b"1"))

    def __init__(self, model: str, limit: int) -> None:
        super().__init__(f"model: {model} has exceeded in-flight requests per replica: {limit}")


class UserLimitExceeded(GatewayError):
    """A user has used up a limit of the minute; `kind` is `rpm` or `tpm`, `retry_after` whole seconds."""

    status = 429
    code = "rate_limit_exceeded"
    outcome = "user_limited"

    def __init__(self, message: str, kind: str, retry_after: int) -> None:
        super().__init__(message)
        self.headers = (
            (f"x-error-{kind}-exceeded".encode(), b"true"),
            (b"retry-after", str(retry_after).encode()),
        )


class NoReadyPods(GatewayError):
    """The model is known, and no pod can take a request now."""

    status = 503
    code = "service_unavailable"
    outcome = "no_ready_pods"
    headers = ((b"x-error-no-model-backends", b"true"), (b"retry-after", b"5"))

    def __init__(self, model: str) -> None:
        super().__init__(f"no ready pods for model {model}")


class RoutingError(GatewayError):
    """The request asks for a routing that does not exist."""

    status = 400
    code = "invalid_routing_strategy"
    outcome = "routing_error"
    headers = ((b"x-error-routing", b"true"),)


class UnknownStrategy(RoutingError):
    """Not a strategy of the table, nor a list of such; `reason` is for the operator."""

    def __init__(self, spec: str, reason: str = "is not a strategy") -> None:
        super().__init__(f"incorrect routing strategy {spec}")
        self.reason = reason


class InvalidExternalFilter(RoutingError):
    """The `external-filter` header is not a label selector."""

    code = "invalid_external_filter"


class FilterMatchesNone(RoutingError):
    """The `external-filter` header leaves no pod."""

    status = 503
    code = "service_unavailable"
    outcome = "no_ready_pods"


class PairUnavailable(RoutingError):
    """No prefill pod and decode pod that go together, and nobody who may serve the request alone; `reason` is why."""

    status = 503
    code = "service_unavailable"
    outcome = "pd_error"

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"no prefill and decode pods that go together for model {model}: {reason}")
        self.reason = reason


class Unavailable(GatewayError):
    """The gateway itself cannot take the request now."""

    status = 503
    code = "service_unavailable"
    outcome = "overloaded"
    headers: Headers = ((b"retry-after", b"2"),)


class Draining(Unavailable):
    """The gateway is shutting down and takes no new request."""

    outcome = "draining"
    headers = ((b"retry-after", b"1"), (b"connection", b"close"))

    def __init__(self) -> None:
        super().__init__("the gateway is shutting down")


class StoreRefused(Unavailable):
    """The store that counts is away, and `rate_limit.on_store_error` is `refuse`."""

    outcome = "store_refused"
    headers = ((b"x-error-incr-model-rps", b"true"), (b"retry-after", b"1"))

    def __init__(self) -> None:
        super().__init__("requests cannot be counted now")


class UpstreamError(GatewayError):
    """An attempt on a pod failed before the first byte of an answer.

    `reason` is `connect`, `reset`, `malformed`, `status_502`, `status_503` or `timeout`; the message names no address.
    """

    status = 502
    code = "upstream_error"
    outcome = "upstream_error"
    headers = ((b"x-error-upstream", b"true"),)
    refund = False
    repeatable: ClassVar[bool] = True

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.reached = reason != "connect"
        """Whether an engine may have seen a byte of the request."""
        self.blames = True
        """Whether it counts against the pod of the attempt."""
        self.prefill: str | None = None
        """Name of the prefill pod where it is its leg that failed."""

    @property
    def kind(self) -> str:
        """The reason, and whose it is where that is not the attempt's pod."""
        return self.reason if self.prefill is None else f"prefill_{self.reason}"

    def discard(self) -> None:
        """Let go of what the attempt still holds, because another one follows."""


class PrefillFailed(UpstreamError):
    """The prefill leg of an attempt failed, so that its decode pod was not asked, or not heard to the end.

    `reason` as above, or `status_500` and the like, or `malformed` for an answer that cannot be handed on; `pod` is the
    prefill pod's name.
    """

    status = 503
    code = "service_unavailable"
    outcome = "pd_error"
    headers = RoutingError.headers

    def __init__(self, pod: str, reason: str) -> None:
        super().__init__(f"prefill failed: {reason}", reason)
        self.prefill = pod
        self.blames = False


class UpstreamTimeout(UpstreamError):
    """A timer ran out: `timer` is its name in the settings."""

    status = 504
    code = "upstream_timeout"
    outcome = "upstream_timeout"
    repeatable = False

    def __init__(self, timer: str) -> None:
        super().__init__(f"the engine did not answer in time: {timer}", "timeout")
        self.timer = timer


class ConnectTimeout(UpstreamError):
    """No connection within `upstream.connect_timeout`: like a refused one, another pod may do better."""

    def __init__(self) -> None:
        super().__init__("the engine cannot be reached: connect_timeout", "connect")
