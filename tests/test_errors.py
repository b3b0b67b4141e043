"""What an error says, and in which shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw import errors
from aibrix_mw.errors import ConfigurationError, Fault, GatewayError, error_body, error_type, reflect
from tests.support import ask

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "api_error",
}

# error, status, code, outcome, further headers
TABLE = [
    (errors.PathNotFound("x"), 404, "not_found", "not_found", []),
    (errors.MethodNotAllowed("x", "POST"), 405, "method_not_allowed", "not_found", [(b"allow", b"POST")]),
    (
        errors.InvalidRequest("x"),
        400,
        "invalid_request",
        "bad_request",
        [(b"x-error-request-body-processing", b"true")],
    ),
    (
        errors.RequestTooLarge(5),
        413,
        "request_too_large",
        "bad_request",
        [(b"x-error-request-body-processing", b"true")],
    ),
    (
        errors.UnsupportedEncoding("x"),
        415,
        "unsupported_encoding",
        "bad_request",
        [(b"x-error-request-body-processing", b"true")],
    ),
    (
        errors.UnsupportedValue("x"),
        400,
        "unsupported_value",
        "bad_request",
        [(b"x-error-request-body-processing", b"true")],
    ),
    (errors.UnknownModel("M"), 404, "model_not_found", "unknown_model", [(b"x-error-no-model-backends", b"M")]),
    (
        errors.NoReadyPods("M"),
        503,
        "service_unavailable",
        "no_ready_pods",
        [(b"x-error-no-model-backends", b"true"), (b"retry-after", b"5")],
    ),
    (
        errors.UnknownStrategy("S"),
        400,
        "invalid_routing_strategy",
        "routing_error",
        [(b"x-error-routing", b"true")],
    ),
    (
        errors.InvalidExternalFilter("x"),
        400,
        "invalid_external_filter",
        "routing_error",
        [(b"x-error-routing", b"true")],
    ),
    (errors.FilterMatchesNone("x"), 503, "service_unavailable", "no_ready_pods", [(b"x-error-routing", b"true")]),
    (errors.Unavailable("x"), 503, "service_unavailable", "overloaded", [(b"retry-after", b"2")]),
    (
        errors.Draining(),
        503,
        "service_unavailable",
        "draining",
        [(b"retry-after", b"1"), (b"connection", b"close")],
    ),
    (errors.UpstreamError("x", "reset"), 502, "upstream_error", "upstream_error", [(b"x-error-upstream", b"true")]),
    (errors.ConnectTimeout(), 502, "upstream_error", "upstream_error", [(b"x-error-upstream", b"true")]),
    (
        errors.UpstreamTimeout("first_byte_timeout"),
        504,
        "upstream_timeout",
        "upstream_timeout",
        [(b"x-error-upstream", b"true")],
    ),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "outcome", "headers"), TABLE, ids=lambda value: type(value).__name__
)
async def test_the_answer_of_each_error(error, status, code, outcome, headers):
    reply = await ask(error.respond)
    assert reply.status == status
    length = str(len(reply.body)).encode()
    assert reply.headers == [(b"content-type", b"application/json"), (b"content-length", length), *headers]
    assert reply.complete
    fields = {"message": error.message, "type": TYPES[status], "code": code}
    assert reply.json() == {"error": fields | ({"param": error.param} if error.param else {})}
    assert error.outcome == outcome


@pytest.mark.parametrize(("error", "status"), [row[:2] for row in TABLE], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/llm/v1/messages"])
async def test_anthropic_has_its_own_shape(error, status, path):
    root = "/llm" if path.startswith("/llm") else ""
    reply = await ask(error.respond, path=path, root_path=root)
    assert reply.json() == {"type": "error", "error": {"type": TYPES[status], "message": error.message}}


def test_messages():
    assert errors.UnknownModel("M").message == "model M does not exist"
    assert errors.UnknownModel("M").param == "model"
    assert errors.NoReadyPods("M").message == "no ready pods for model M"
    assert errors.UnknownStrategy("S").message == "incorrect routing strategy S"
    assert "response_timeout" in errors.UpstreamTimeout("response_timeout").message
    assert "12" in errors.RequestTooLarge(12).message


def test_which_attempts_may_be_repeated():
    assert errors.UpstreamError("x", "reset").repeatable
    assert errors.ConnectTimeout().repeatable
    assert not errors.UpstreamTimeout("response_timeout").repeatable
    errors.UpstreamError("x", "reset").discard()


@pytest.mark.parametrize("status", TYPES)
def test_types(status):
    assert error_type(status) == TYPES[status]


def test_param_is_absent_rather_than_null():
    assert "param" not in json.loads(error_body("/v1/completions", 400, "x", "c"))["error"]


def test_a_configuration_error_names_all_faults():
    error = ConfigurationError([Fault("a.b", "is wrong"), Fault("c", "too")])
    assert str(error) == "a.b: is wrong; c: too"
    assert len(error.faults) == 2


# --- F9: client text in a header


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("llama-3.1", b"llama-3.1"),
        ("meta-llama/Llama-3.1-8B", b"meta-llama/Llama-3.1-8B"),
        ("a b", b"a%20b"),
        ("a\r\nset-cookie: x", b"a%0D%0Aset-cookie:%20x"),
        ("nul\0", b"nul%00"),
        ("ü", b"%C3%BC"),
        ("", b""),
        ("x" * 300, b"x" * 256),
    ],
)
def test_f9_reflected_text(text, value):
    assert reflect(text) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_f9_is_always_visible_ascii_and_short(text):
    value = reflect(text)
    assert len(value) <= 256
    assert all(0x21 <= byte <= 0x7E for byte in value)


def test_the_tree_that_is_drawn_is_the_tree():
    found = [GatewayError]
    for error in found:
        found += [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    assert len(found) > 25
    assert [error.__name__ for error in found if error.__name__ not in (errors.__doc__ or "")] == []
