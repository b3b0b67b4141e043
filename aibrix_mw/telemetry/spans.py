"""The spans of one recorded request, by the API of OpenTelemetry; whoever made the tracer decides where they go."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context

from aibrix_mw.errors import GatewayError
from aibrix_mw.pods.pod import Pod
from aibrix_mw.request import InferenceRequest
from aibrix_mw.telemetry import conventions as name
from aibrix_mw.telemetry.calls import TracedUpstream
from aibrix_mw.telemetry.marks import Attributes, fail

if TYPE_CHECKING:  # siblings
    from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
    from aibrix_mw.limiting.quota import Hit, Quotas
    from aibrix_mw.telemetry.choice import Choice
    from aibrix_mw.upstream.base import Upstream


class RecordedTrace:
    """The spans below the one of the server; a `Trace`. With `capture_text` they carry prompts and answers."""

    def __init__(self, tracer: Tracer, server: Span, *, capture_text: bool = False) -> None:
        self.capture_text = capture_text
        self.tracer = tracer
        self.server = server
        self.trace_id = f"{server.get_span_context().trace_id:032x}"
        self._below = set_span_in_context(server)

    def start(self, span: str, kind: SpanKind, attributes: Attributes, at: int | None = None) -> Span:
        """Start a child of the server's span, now or at a moment in nanoseconds since the epoch."""
        return self.tracer.start_span(span, self._below, kind, attributes, start_time=at)

    def event(self, event: str) -> None:
        """Note on the server's span that something has happened."""
        self.server.add_event(event)

    def chose(self, choice: "Choice") -> None:
        """Make a span of a choice that has been made."""
        span = self.start(name.ROUTE_SPAN, SpanKind.INTERNAL, _routing(choice), choice.begun)
        if choice.refusal is not None:
            fail(span, choice.refusal)
        span.end(choice.ended)

    def over(
        self, upstream: "Upstream", request: InferenceRequest, pod: Pod, *, number: int = 1, role: str | None = None
    ) -> "Upstream":
        """A client of engines that makes a CLIENT span of each call."""
        return TracedUpstream(self.start, upstream, request, pod, number, role, capture_text=self.capture_text)

    async def ask(self, limiter: "Limiter | SharedLimiter", quotas: "Quotas") -> "Hit":
        """Have a limiter ask its store, within a span of its own."""
        span = self.start(name.LIMIT_SPAN, SpanKind.INTERNAL, {})
        try:
            hit = await limiter.take(quotas)
            shown = hit.full or hit.tightest or quotas[0]
            span.set_attribute(name.LIMIT, shown.limit)
            span.set_attribute(name.WINDOW, shown.per)
            span.set_attribute(name.DECISION, "taken" if hit.full is None else "limited")
            span.set_attribute(name.BACKEND, _backend(limiter, hit))
            return hit
        except GatewayError as error:
            span.set_attribute(name.DECISION, "refused")
            fail(span, error.outcome)
            raise
        finally:
            span.end()


def _backend(limiter: "Limiter | SharedLimiter", hit: "Hit") -> str:
    """Who has counted: the store, this process while the store is away, or nobody."""
    if hit.tightest is None:
        return "none"
    local = getattr(limiter, "local", None)
    return "process" if limiter.away is not None or (local is not None and hit.counter is local) else "store"


def _routing(choice: "Choice") -> Attributes:
    attributes: dict[str, str | int | float | Sequence[str]] = {
        name.STRATEGY: choice.strategy[:256],
        name.KNOWN: choice.known,
        name.READY: choice.ready,
        name.ROUTABLE: choice.routable,
        name.EXCLUDED: [f"{reason}={count}" for reason, count in sorted(choice.excluded.items())],
        name.SCORES: [f"{pod}={score:g}" for pod, score in choice.scores],
    }
    if choice.target is not None:
        attributes[name.POD] = choice.target.pod.info.name
        if choice.target.prefill is not None:
            attributes[name.PREFILL_POD] = choice.target.prefill.info.name
        fallback = choice.target.alone or choice.target.fallback
        if fallback is not None:
            attributes[name.FALLBACK] = fallback
    return attributes
