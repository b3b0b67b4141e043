"""The inner end of the stack: send the request to its target, stream the answer back."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from aibrix_mw.client import ClientLeft, Presence
from aibrix_mw.errors import (
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    PathNotFound,
    RequestTooLarge,
    UpstreamError,
    error_body,
)
from aibrix_mw.headers import Forwarder, to_client
from aibrix_mw.outcome import Outcome
from aibrix_mw.paths import INFERENCE_PATHS, is_anthropic, route_path
from aibrix_mw.remainder import remainder
from aibrix_mw.scope import CLIENT_LEFT, LEASE, OUTCOME, REQUEST, REQUEST_ID, TARGET, USAGE, refuse
from aibrix_mw.timers import timeouts_for, timers_for
from aibrix_mw.upstream.base import Answer, EngineRequest, Timeouts, Upstream

_UNAVAILABLE: Final = frozenset({502, 503})


class EngineUnavailable(UpstreamError):
    """An engine answered 502 or 503: another pod may do better; where none is tried, this answer is passed on.

    So may another pair when a decode pod answers any 5xx: that tells of a transfer that failed, not of the pod.
    """

    def __init__(self, answer: Answer, pass_on: Callable[[Scope, Send], Awaitable[None]]) -> None:
        super().__init__(f"the engine answered {answer.status}", f"status_{answer.status}")
        self.blames = answer.status in _UNAVAILABLE
        self._answer = answer
        self._pass_on = pass_on

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the engine's own answer."""
        with Presence(scope, receive) as presence:
            presence.listen()
            try:
                await self._pass_on(scope, send)
            except ClientLeft:
                presence.left = True
        if presence.left:
            OUTCOME.put(scope, CLIENT_LEFT)

    def discard(self) -> None:
        """Drop the engine's answer."""
        self._answer.close()


class Proxy:
    """Forwards a request to the pod in the slot TARGET; what is on no inference path goes `elsewhere`, else 404.

    The answer's head is held until the first byte of its body, so that until then another pod can be tried: such
    failures are raised as UpstreamError. `max_body_bytes` bounds bodies that are streamed through.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        forwarder: Forwarder | None = None,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = 67_108_864,
        paths: Iterable[str] = INFERENCE_PATHS,
        elsewhere: ASGIApp | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.upstream = upstream
        self.forwarder = forwarder or Forwarder()
        self.timeouts = timeouts or Timeouts()
        self.max_body_bytes = max_body_bytes
        self.targets = {path: path.encode() for path in paths}
        self.elsewhere = elsewhere or not_found
        self.clock = clock

    def over(self, upstream: Upstream) -> "Proxy":
        """The same proxy, with another client of engines."""
        return Proxy(
            upstream,
            forwarder=self.forwarder,
            timeouts=self.timeouts,
            max_body_bytes=self.max_body_bytes,
            paths=self.targets,
            elsewhere=self.elsewhere,
            clock=self.clock,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request and stream the answer."""
        if scope["type"] != "http":
            await _decline(scope, send)
            return
        path = route_path(scope)
        target = self.targets.get(path)
        if target is None:
            await self.elsewhere(scope, receive, send)
            return
        if scope["method"] != "POST":
            await refuse(MethodNotAllowed(f"{path} takes POST", "POST"), scope, receive, send)
            return
        refusal: GatewayError | None = None
        with Presence(scope, receive) as presence:
            try:
                await self._exchange(scope, receive, send, presence, target)
            except ClientLeft:
                presence.left = True
            except (RequestTooLarge, InvalidRequest) as error:
                refusal = error
                refusal.refund = False  # a part of it is with the engine
        if presence.left:
            OUTCOME.put(scope, CLIENT_LEFT)
        elif refusal is not None:
            await refuse(refusal, scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send, presence: Presence, target: bytes) -> None:
        request = REQUEST.require(scope)
        rest = None
        if request.more:
            rest = remainder(request, receive, presence, self.max_body_bytes)
        else:
            presence.listen()
        place = TARGET.require(scope)
        pod = place.pod
        if scope["query_string"]:
            target = b"%b?%b" % (target, scope["query_string"])
        timers = timers_for(scope, request, timeouts_for(scope, self.timeouts))
        sent = self.clock()
        answer = await self.upstream.send(  # which alone has what is sent: the body is let go before the answer ends
            EngineRequest(
                pod.address,
                pod.host_header,
                target,
                self.forwarder.to_engine(scope, request.headers, REQUEST_ID.get(scope)),
                request.body,
                rest,
                request.length,
                reuse=rest is None and request.repeatable,
            ),
            timers,
        )
        try:
            chunk = await answer.read()  # the head is held until there is a body
            relay = Relay(answer, request.path, chunk, sent, self.clock)
            if answer.status >= 500 and (answer.status in _UNAVAILABLE or place.prefill is not None):
                raise EngineUnavailable(answer, relay.run)
            lease = LEASE.get(scope)
            if lease is not None:
                lease.first_byte(streamed=request.stream)
            if place.prefill is None:  # a pair's legs keep the body themselves
                request.let_go()
            await relay.run(scope, send)
        except EngineUnavailable:
            raise
        except BaseException:
            answer.close()
            raise


class Relay:
    """One answer on its way from an engine to a client; made when the first byte of its body is there."""

    def __init__(self, answer: Answer, path: str, chunk: bytes, sent: float, clock: Callable[[], float]) -> None:
        self.answer = answer
        self.path = path
        self.sent = sent
        self.clock = clock
        self.first_byte = clock()
        self._chunk = chunk

    async def run(self, scope: Scope, send: Send) -> None:
        """Stream the answer. What fails from here on ends it short: the client sees that something is missing."""
        answer = self.answer
        headers = to_client(answer.headers)
        usage = USAGE.get(scope)
        if usage is not None:
            usage.start(headers, at_source=True)
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            while not answer.ended:
                await send({"type": "http.response.body", "body": self._chunk, "more_body": True})
                if usage is not None:
                    usage.feed(self._chunk)
                self._chunk = await answer.read()
            self._record(scope, "engine_error" if answer.status >= 500 else "ok")
            await send({"type": "http.response.body", "body": self._chunk})
            if usage is not None:
                usage.feed(self._chunk)
        except UpstreamError as error:
            self._record(scope, "stream_truncated", error.reason)
            await self._explain(error, headers, send)
        except OSError:  # what an ASGI server may raise when nobody reads the answer any more
            raise ClientLeft from None
        finally:
            answer.close()

    def _record(self, scope: Scope, name: str, reason: str | None = None) -> None:
        outcome = Outcome(
            name=name,
            status=self.answer.status,
            sent=self.sent,
            first_byte=self.first_byte,
            last_byte=self.clock(),
            reason=reason,
        )
        OUTCOME.put(scope, outcome)

    async def _explain(self, error: UpstreamError, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        """Tell a reader of events what has happened; nothing can be added to any other body."""
        fields = dict(headers)
        is_events = fields.get(b"content-type", b"").startswith(b"text/event-stream")
        if not is_events or b"content-length" in fields or b"content-encoding" in fields:
            return
        body = error_body(self.path, 502, error.message, "upstream_error")
        event = b"event: error\ndata: " if is_anthropic(self.path) else b"data: "
        line_break = b"" if self._chunk.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"
        message: dict[str, Any] = {"type": "http.response.body", "more_body": True}
        await send(message | {"body": line_break + event + body + b"\n\n"})


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 404; an ASGI application."""
    await refuse(PathNotFound(f"no such path: {route_path(scope)}"), scope, receive, send)


async def _decline(scope: Scope, send: Send) -> None:
    """Close a WebSocket; there is nothing behind this for other scope types."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
