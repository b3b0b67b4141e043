"""One prefill leg: a request to a prefill pod, and what its answer means."""

import logging
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from aibrix_mw.errors import PrefillFailed, UpstreamError, UpstreamTimeout
from aibrix_mw.headers import to_client
from aibrix_mw.outcome import Outcome, Prefill
from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.lease import Lease
from aibrix_mw.pods.pod import Pod
from aibrix_mw.request import InferenceRequest
from aibrix_mw.scope import ATTEMPT, OUTCOME, PREFILLS, REQUEST_ID, TRACE
from aibrix_mw.timers import prefill_timers, timeouts_for
from aibrix_mw.upstream.base import Answer, EngineRequest, Timeouts, Upstream

logger = logging.getLogger("aibrix_mw")

FAILURE = "pd-prefill-request-error"
"""What a leg that failed is called in logs and traces."""
LARGEST_ANSWER = 16_777_216
"""Bytes: one token, and the block ids of a prompt of a million tokens."""
_FORWARDED = frozenset({b"authorization", b"content-type", b"traceparent"})
_PODS_FAULT = frozenset({"connect", "reset", "malformed", "timeout", "status_502", "status_503"})

Read = Callable[[bytes], None]


class PrefillRejected(UpstreamError):
    """A prefill pod has answered that the request is wrong: the client gets that answer, and nobody else is asked."""

    repeatable = False

    def __init__(self, pod: str, answer: Answer, body: bytes) -> None:
        super().__init__(f"the prefill pod answered {answer.status}", "rejected")
        self.prefill = pod
        self.blames = False
        self._answer = answer
        self._body = body

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the engine's own answer."""
        OUTCOME.put(scope, Outcome(name="ok", status=self._answer.status))
        headers = to_client(self._answer.headers)
        await send({"type": "http.response.start", "status": self._answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


class PrefillPods:
    """Asks prefill pods. Each leg is leased, is judged for ejection, and leaves a record in the slot PREFILLS."""

    def __init__(
        self,
        upstream: Upstream,
        admission: Admission,
        timeouts: Timeouts,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.upstream = upstream
        self.admission = admission
        self.timeouts = timeouts
        self.clock = clock

    async def ask(
        self,
        scope: Scope,
        request: InferenceRequest,
        pod: Pod,
        lease: Lease,
        body: bytes,
        read: Callable[[bytes], None],
    ) -> None:
        """Send the leg and have `read` take its answer, which may raise PrefillFailed.

        `lease` has been entered already, in the turn of the loop in which the pod was chosen. Raises PrefillFailed,
        PrefillRejected, or UpstreamTimeout when there is no time left for any attempt.
        """
        turn = self.admission.placed(pod)
        started = self.clock()
        reason = "left"
        try:
            await self._exchange(scope, request, pod, body, read)
            reason = ""
            self.admission.ejection.succeeded(pod, turn)
            lease.first_byte(streamed=True)
        except UpstreamError as error:
            reason = error.reason
            self._judge(pod, turn, error)
            raise
        finally:
            if reason == "left":
                self.admission.ejection.abandoned(pod, turn)
            leg = Prefill(pod.info.name, started, self.clock(), reason or None)
            PREFILLS.put(scope, (*(PREFILLS.get(scope) or ()), leg))
            if leg.failed:
                trace = TRACE.get(scope)
                if trace is not None:
                    trace.event(FAILURE)
                _report(scope, request, pod, leg)

    async def _exchange(self, scope: Scope, request: InferenceRequest, pod: Pod, body: bytes, read: Read) -> None:
        name = pod.info.name
        target = _target(request.path, scope["query_string"])
        asked = EngineRequest(pod.address, pod.host_header, target, _headers(scope), body, reuse=request.repeatable)
        timers = prefill_timers(scope, request, timeouts_for(scope, self.timeouts))
        trace, attempt = TRACE.get(scope), ATTEMPT.get(scope)
        upstream = self.upstream
        if trace is not None:
            number = 1 if attempt is None else attempt.number
            upstream = trace.over(upstream, request, pod, number=number, role="prefill")
        try:
            answer = await upstream.send(asked, timers)
            try:
                whole = await _whole(answer)
            finally:
                answer.close()
        except UpstreamTimeout as error:
            if error.timer != "prefill_timeout":
                error.prefill = name
                raise
            raise PrefillFailed(name, error.reason) from None
        except UpstreamError as error:
            failed = PrefillFailed(name, error.reason)
            failed.reached = error.reached
            raise failed from None
        if answer.status >= 500:
            raise PrefillFailed(name, f"status_{answer.status}")
        if answer.status != 200:
            raise PrefillRejected(name, answer, whole)
        read(whole)

    def _judge(self, pod: Pod, turn: int, error: UpstreamError) -> None:
        """What a failure says of the prefill pod; it never says anything of the decode pod."""
        error.blames = False
        if error.reason in _PODS_FAULT:
            self.admission.failed(pod, turn)
        else:
            self.admission.ejection.succeeded(pod, turn)


def _report(scope: Scope, request: InferenceRequest, pod: Pod, leg: Prefill) -> None:
    """Log a leg that failed."""
    request_id = (REQUEST_ID.get(scope) or b"").decode("latin-1")
    text = f"{FAILURE}: model %s, prefill pod %s/%s, request %s, after %.3f s: %s"
    seconds = leg.ended - leg.started
    logger.warning(text, request.model, pod.info.namespace, pod.info.name, request_id, seconds, leg.reason)


def _target(path: str, query: bytes) -> bytes:
    """Path and query of the leg: the same as of the client's request."""
    return b"%b?%b" % (path.encode(), query) if query else path.encode()


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    kept = [header for header in scope["headers"] if header[0] in _FORWARDED]
    request_id = REQUEST_ID.get(scope)
    if request_id is not None:
        kept.append((b"x-request-id", request_id))
    return kept


async def _whole(answer: Answer) -> bytes:
    chunk = await answer.read()
    if answer.ended:
        return chunk
    parts, size = [chunk], len(chunk)
    while chunk := await answer.read():
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise UpstreamError("the prefill answer is too large", "malformed")
    return b"".join(parts)
