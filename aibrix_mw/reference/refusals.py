"""The error tree, with an example of each answer."""

from collections.abc import Iterator
from inspect import signature

from aibrix_mw import errors
from aibrix_mw.errors import GatewayError, error_type
from aibrix_mw.reference.markdown import Section, code, first_sentence, table

_TEXT = "..."
_EXAMPLES: dict[type[GatewayError], GatewayError] = {
    errors.MethodNotAllowed: errors.MethodNotAllowed(_TEXT, "POST"),
    errors.RequestTooLarge: errors.RequestTooLarge(67_108_864),
    errors.UnknownModel: errors.UnknownModel("M"),
    errors.ModelNotAllowed: errors.ModelNotAllowed("M"),
    errors.LimitExceeded: errors.LimitExceeded("model: M has exceeded RPS: N", 1.0),
    errors.InflightExceeded: errors.InflightExceeded("M", 8),
    errors.UserLimitExceeded: errors.UserLimitExceeded("user: U has exceeded RPM: N", "rpm", 60),
    errors.NoReadyPods: errors.NoReadyPods("M"),
    errors.UnknownStrategy: errors.UnknownStrategy("S"),
    errors.PairUnavailable: errors.PairUnavailable("M", "incomplete"),
    errors.UpstreamError: errors.UpstreamError(_TEXT, "reset"),
    errors.PrefillFailed: errors.PrefillFailed("P", "reset"),
    errors.UpstreamTimeout: errors.UpstreamTimeout("first_byte_timeout"),
}
_BASES = {GatewayError, errors.RoutingError}

_INTRODUCTION = """
Every refusal is JSON, `{"error": {"message", "type", "code"}}`, with `param` where one names the fault; on
`/v1/messages*` it has Anthropic's shape. Every one carries `x-request-id`. The outcome is the label of
`aibrix_gateway_requests_total` and of spans and log lines. M, U, S and N stand for values.
"""
_OUTCOMES = """
Requests that were not refused have these outcomes: `ok`; `engine_error`, the engine's own 5xx; `stream_truncated`, an
answer that ended short after its first byte; `client_cancelled`, a client that left. What reached no engine gives back
what limits had counted for it.
"""


def section() -> Section:
    """All refusals, by status."""
    rows = [_row(kind) for kind in sorted(kinds(), key=lambda kind: (kind.status, kind.code, kind.__name__))]
    head = ("status", "code", "type", "outcome", "headers", "when, and the message where it is fixed")
    return Section("Refusals", f"{_INTRODUCTION.strip()}\n\n{table(head, rows)}\n{_OUTCOMES.strip()}")


def kinds(base: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Every refusal of the package's."""
    if base not in _BASES:
        yield base
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def _row(kind: type[GatewayError]) -> tuple[str, ...]:
    error = _example(kind)
    headers = ", ".join(code(f"{name.decode()}: {value.decode()}") for name, value in error.headers)
    message = "" if error.message == _TEXT else f" {code(error.message)}"
    return (
        str(kind.status),
        code(kind.code),
        code(error_type(kind.status)),
        code(kind.outcome),
        headers or "-",
        first_sentence(kind.__doc__) + message,
    )


def _example(kind: type[GatewayError]) -> GatewayError:
    if kind in _EXAMPLES:
        return _EXAMPLES[kind]
    takes = signature(kind.__init__).parameters
    return kind(_TEXT) if "message" in takes else kind()  # type: ignore[call-arg]
