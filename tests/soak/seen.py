"""What a client can tell of the end of its request: in most cases the one outcome that the gateway must count."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.soak.wire import Answer

MARKS = {
    "x-error-model-rps-exceeded": "limited",
    "x-error-rpm-exceeded": "user_limited",
    "x-error-replica-inflight-exceeded": "inflight_limited",
    "x-error-incr-model-rps": "store_refused",
}
CODES = {
    "invalid_request": "bad_request",
    "request_timeout": "bad_request",
    "request_too_large": "bad_request",
    "unsupported_encoding": "bad_request",
    "model_not_found": "unknown_model",
    "not_found": "not_found",
    "invalid_routing_strategy": "routing_error",
    "upstream_error": "upstream_error",
    "upstream_timeout": "upstream_timeout",
}
COMMENT = b": keep-alive"
LATE = {
    "rate_limit_exceeded": frozenset({"limited", "user_limited"}),
    "service_unavailable": frozenset({"no_ready_pods", "pd_error", "overloaded"}),
    "upstream_error": frozenset({"upstream_error", "engine_error", "ok"}),
    "upstream_timeout": frozenset({"upstream_timeout"}),
}
"""What an error may be that comes after the head: an event has no headers, and an engine's own has any code."""
REFUSED = frozenset({*MARKS.values(), *CODES.values(), "no_ready_pods", "pd_error", "overloaded"})
UNFINISHED = REFUSED | {"client_cancelled", "engine_error", "stream_truncated"}
"""What a request may be whose client leaves long before the answer could have ended: anything but `ok`."""
ANY = UNFINISHED | {"ok"}
DOOR = frozenset({"bad_request"})
"""How the server counts what never becomes a request."""


class Seen(NamedTuple):
    """One request as its client saw it.

    `id` is None where the gateway never had a request to give an id to; what it answers then is counted without a log
    line, and if the client has left that may be nothing. `status` is 0 where the client cannot know it. `may` are the
    outcomes that agree with what was seen; `wrong` is what no request may come to.
    """

    id: str | None
    kind: str
    at: float
    status: int
    may: frozenset[str]
    left: bool = False
    wrong: str = ""

    @property
    def sure(self) -> bool:
        """Whether it was counted, and as what, is beyond doubt."""
        return len(self.may) == 1 and not (self.left and self.id is None)


def outcomes(answer: Answer) -> frozenset[str]:
    """What an answer was that its client has heard to the end; ValueError where there is no such thing."""
    events = answer.headers.get("content-type", "").startswith("text/event-stream")
    if answer.broken or not answer.status:
        raise ValueError("no answer")
    if not answer.complete:
        if events and b'"error"' not in _last_line(answer):
            raise ValueError("a stream that ends short without saying so")
        return frozenset({"stream_truncated"})
    if is_late(answer):
        return LATE.get(_last_error(answer)["code"], frozenset({"engine_error", "ok"}))
    if events and not answer.tail.endswith(b"data: [DONE]\n\n"):
        raise ValueError("a stream that ends in good order without [DONE]")
    if answer.status < 400:
        return frozenset({"ok"})
    if "x-sim-engine" in answer.headers:
        return frozenset({"engine_error" if answer.status >= 500 else "ok"})
    return frozenset({_refusal(answer)})


def is_late(answer: Answer) -> bool:
    """Whether the answer is an error for which a head that had been sent to keep the client waiting was too early."""
    return answer.complete and answer.body.startswith(COMMENT) and b'"error"' in _last_line(answer)


def _last_line(answer: Answer) -> bytes:
    return answer.tail.rstrip(b"\n").rpartition(b"\n")[2]


def _last_error(answer: Answer) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(_last_line(answer).removeprefix(b"data: "))["error"]
    return error


def _refusal(answer: Answer) -> str:
    """The outcome of a refusal, by its status, headers and code."""
    code = json.loads(answer.body)["error"]["code"]
    marked = [outcome for header, outcome in MARKS.items() if header in answer.headers]
    if marked:
        return marked[0]
    if code == "service_unavailable":
        if "x-error-no-model-backends" in answer.headers:
            return "no_ready_pods"
        return "pd_error" if "x-error-routing" in answer.headers else "overloaded"
    if code not in CODES:
        raise ValueError(f"a refusal that nobody has asked for: {answer.status} {code}")
    return CODES[code]


def count(seen: Iterable[Seen]) -> tuple[dict[str, int], dict[str, int]]:
    """Of each outcome, how often it was seen for sure, and how often it may have been besides."""
    sure, maybe = dict.fromkeys(ANY, 0), dict.fromkeys(ANY, 0)
    for one in seen:
        for outcome in one.may:
            (sure if one.sure else maybe)[outcome] += 1
    return sure, maybe
