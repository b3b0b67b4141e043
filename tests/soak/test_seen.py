"""What an answer on the wire was."""

import json

import pytest

from tests.soak.seen import outcomes
from tests.soak.wire import Answer

SSE = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
ERROR = 'data: {"error": {"code": "upstream_error"}}\n\n'
DONE = "data: [DONE]\n\n"


def answer(status, headers="", body="", *, whole=True):
    """An answer as it comes; a stream in one chunk, and without the last one unless `whole`."""
    parsed = Answer()
    if "chunked" in headers:
        body = f"{len(body):x}\r\n{body}\r\n" + ("0\r\n\r\n" if whole else "")
    else:
        headers += f"content-length: {len(body) + (not whole)}\r\n"
    parsed.feed(f"HTTP/1.1 {status} X\r\n{headers}\r\n{body}".encode())
    return parsed


def refusal(status, code, headers=""):
    return answer(status, headers, json.dumps({"error": {"code": code}}))


UNAVAILABLE = (503, "service_unavailable")


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (answer(200, body="{}"), "ok"),
        (answer(200, body="{", whole=False), "stream_truncated"),
        (answer(200, SSE, DONE), "ok"),
        (answer(200, SSE, "data: {}\n\n" + ERROR, whole=False), "stream_truncated"),
        (answer(404, "x-sim-engine: a\r\n", "{}"), "ok"),
        (answer(500, "x-sim-engine: a\r\n", "{}"), "engine_error"),
        (refusal(404, "model_not_found"), "unknown_model"),
        (refusal(429, "rate_limit_exceeded", "x-error-model-rps-exceeded: true\r\n"), "limited"),
        (refusal(429, "rate_limit_exceeded", "x-error-rpm-exceeded: true\r\n"), "user_limited"),
        (refusal(*UNAVAILABLE, "x-error-no-model-backends: true\r\n"), "no_ready_pods"),
        (refusal(*UNAVAILABLE, "x-error-routing: true\r\n"), "pd_error"),
        (refusal(*UNAVAILABLE), "overloaded"),
    ],
)
def test_outcomes(seen, outcome):
    assert outcomes(seen) == {outcome}


LATE = ": keep-alive\n\n" + 'data: {{"error": {{"code": {}}}}}\n\n'


@pytest.mark.parametrize(
    ("code", "may"),
    [
        ('"service_unavailable"', {"no_ready_pods", "pd_error", "overloaded"}),
        ('"upstream_timeout"', {"upstream_timeout"}),
        ("503", {"engine_error", "ok"}),
    ],
)
def test_an_error_that_comes_after_the_head(code, may):
    assert outcomes(answer(200, SSE, LATE.format(code))) == may


def test_comments_before_a_stream():
    assert outcomes(answer(200, SSE, ": keep-alive\n\n" + DONE)) == {"ok"}


@pytest.mark.parametrize(
    "seen",
    [
        Answer(),
        answer(200, SSE, "data: {}\n\n"),
        answer(200, SSE, "data: {}\n\n", whole=False),
        refusal(500, "internal_error"),
        refusal(429, "rate_limit_exceeded"),
    ],
)
def test_what_no_request_may_come_to(seen):
    with pytest.raises(ValueError, match=r"."):
        outcomes(seen)


def test_what_is_no_answer():
    broken = Answer()
    broken.feed(b"nonsense\r\n\r\n")
    with pytest.raises(ValueError, match="no answer"):
        outcomes(broken)
