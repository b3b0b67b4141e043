"""What a recorded trace can be asked for, by those who need not know how traces are made.

And the header that carries one: W3C Trace Context, https://www.w3.org/TR/trace-context/.
"""

import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:  # those are above this
    from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
    from aibrix_mw.limiting.quota import Hit, Quotas
    from aibrix_mw.pods.pod import Pod
    from aibrix_mw.request import InferenceRequest
    from aibrix_mw.telemetry.choice import Choice
    from aibrix_mw.upstream.base import Upstream

_FORM = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Trace(Protocol):
    """One request's trace that is recorded; there is none where tracing is off, or the request was not sampled."""

    trace_id: str
    """32 hexadecimal digits."""

    def over(
        self, upstream: "Upstream", request: "InferenceRequest", pod: "Pod", *, number: int = 1, role: str | None = None
    ) -> "Upstream":
        """A client of engines that records each call as a span, and tells the engine of it.

        `number` counts the attempts from 1; `role` is `prefill` for that leg of a disaggregated request.
        """
        ...

    def ask(self, limiter: "Limiter | SharedLimiter", quotas: "Quotas") -> "Awaitable[Hit]":
        """Have a limiter ask its store, and record that as a span."""
        ...

    def chose(self, choice: "Choice") -> None:
        """Record how a pod was chosen, as a span."""
        ...

    def event(self, name: str) -> None:
        """Note that something has happened to the request."""
        ...


class Parent(NamedTuple):
    """A span elsewhere, as `traceparent` names it."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(value: bytes) -> Parent | None:
    """Read the header; None where it is not one. Of versions to come what this one knows is read."""
    match = _FORM.fullmatch(value)
    if match is None or (match[1] == b"00" and match[5] is not None):
        return None
    return Parent(int(match[2], 16), int(match[3], 16), bool(int(match[4], 16) & 1))


def format_traceparent(trace_id: int, span_id: int, *, sampled: bool) -> bytes:
    """Write the header, version 00."""
    return b"00-%032x-%016x-0%d" % (trace_id, span_id, sampled)
