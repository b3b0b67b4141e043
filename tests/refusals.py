"""The contract's table of refusals, row by row: what is asked, of which gateway, and what is answered."""

from aibrix_mw.errors import UpstreamError, UpstreamTimeout
from tests.refusal import Refusal
from tests.refusals_access import ACCESS
from tests.support import CHAT, info

BODY_FAULT = {"x-error-request-body-processing": "true"}
ROUTING_FAULT = {"x-error-routing": "true"}
UPSTREAM_FAULT = {"x-error-upstream": "true"}
TARGET = {"routing-strategy": "least-request", "target-pod": "pod-1", "target-pod-ip": "10.0.0.1:8000"}
SPEECH = "/v1/audio/transcriptions"
FORM = [(b"content-type", b"multipart/form-data; boundary=xyz")]
NOT_READY = {"pods": [info(1, excluded="not_ready")]}


def bad_body(name, message, body, param=None, **more):
    given = {"answer_headers": BODY_FAULT, "body": body, "param": param} | more
    return Refusal(name, 400, message, "invalid_request", "bad_request", **given)


def bad_strategy(wanted):
    return Refusal(
        f"strategy {wanted}",
        400,
        f"incorrect routing strategy {wanted}",
        "invalid_routing_strategy",
        "routing_error",
        answer_headers=ROUTING_FAULT,
        profile="default",
        headers=[(b"routing-strategy", wanted.encode())],
    )


def failing(name, status, message, code, error):
    more = {"profile": "default", "gateway": {"pods": 1, "script": lambda _: error, "routing": {"attempts": 1}}}
    return Refusal(name, status, message, code, code, answer_headers=UPSTREAM_FAULT | TARGET, **more)


def state(**changes):
    return {"state": changes}


WEIGHTS = ["least-request,", "least-request:1:2", "least-request:0.5", "least-request:-1", "least-request:1000001"]
STRATEGIES = [
    *WEIGHTS,
    "least-request:0",
    "nonsense",
    "nonsense:2,least-request",
    "random:1,least-request",
    "a b",
]
NOT_JSON = "the body is not valid JSON: "

ROWS = [
    Refusal(
        "not one request",
        400,
        "host is not a host",
        "invalid_request",
        "bad_request",
        answer_headers={"connection": "close"},
        headers=[(b"host", b"a/b")],
    ),
    Refusal(
        "head too large",
        431,
        "the request has more than 3 headers",
        "headers_too_large",
        "bad_request",
        answer_headers={"connection": "close"},
        gateway={"limits": {"max_headers": 3}},
        headers=[(b"a", b"1"), (b"b", b"2")],
    ),
    bad_body("no JSON", NOT_JSON + "JSON is malformed: invalid character (byte 0)", b"model=m"),
    bad_body("empty", NOT_JSON + "Input data was truncated", b""),
    bad_body("no object", "the body: Expected `object`, got `array`", b"[]"),
    bad_body("no model", "model is missing", b"{}", "model"),
    bad_body("model no string", "model: Expected `str`, got `int`", b'{"model": 1}', "model"),
    bad_body(
        "stream no boolean", "stream: Expected `bool | null`, got `str`", b'{"model": "m", "stream": "no"}', "stream"
    ),
    *(
        bad_body(
            f"F75 {key}", f"{key} is not allowed from clients", b'{"model": "m", "%s": "x"}' % written.encode(), key
        )
        for key, written in [
            ("kv_transfer_params", "kv_transfer_params"),
            ("disaggregated_params", "disaggregated_params"),
            ("bootstrap_host", "bootstrap_host"),
            ("bootstrap_port", "bootstrap_port"),
            ("bootstrap_room", "bootstrap_room"),
            ("kv_transfer_params", "kv_transfer\\u005fparams"),
        ]
    ),
    bad_body("form without a model", "model is missing", b"--xyz--\r\n", "model", path=SPEECH, headers=FORM),
    Refusal(
        "previous response",
        400,
        "previous_response_id needs x-session-id: the response is kept by one of several pods",
        "unsupported_value",
        "bad_request",
        answer_headers=BODY_FAULT,
        param="previous_response_id",
        body=b'{"model": "m", "previous_response_id": "r"}',
        path="/v1/responses",
        profile="default",
    ),
    Refusal(
        "unknown model",
        404,
        "model no-such does not exist",
        "model_not_found",
        "unknown_model",
        answer_headers={"x-error-no-model-backends": "no-such"},
        param="model",
        body=b'{"model": "no-such"}',
    ),
    Refusal(
        "F9 unknown model with a line break",
        404,
        "model a\r\nx: y does not exist",
        "model_not_found",
        "unknown_model",
        answer_headers={"x-error-no-model-backends": "a%0D%0Ax:%20y"},
        param="model",
        body=b'{"model": "a\\r\\nx: y"}',
    ),
    *ACCESS,
    Refusal(
        "no ready pods",
        503,
        "no ready pods for model m",
        "service_unavailable",
        "no_ready_pods",
        answer_headers={"x-error-no-model-backends": "true", "retry-after": "5"},
        profile="default",
        gateway=NOT_READY,
    ),
    *map(bad_strategy, STRATEGIES),
    Refusal(
        "filter that is none",
        400,
        "external-filter: not a label selector at character 1: '((('",
        "invalid_external_filter",
        "routing_error",
        answer_headers=ROUTING_FAULT,
        profile="default",
        headers=[(b"external-filter", b"(((")],
    ),
    Refusal(
        "filter that matches none",
        503,
        "external-filter a=b matches no ready pod of model m",
        "service_unavailable",
        "no_ready_pods",
        answer_headers=ROUTING_FAULT,
        profile="default",
        headers=[(b"external-filter", b"a=b")],
    ),
    failing(
        "not reached",
        502,
        "the engine cannot be reached",
        "upstream_error",
        UpstreamError("the engine cannot be reached", "connect"),
    ),
    *(
        failing(timer, 504, f"the engine did not answer in time: {timer}", "upstream_timeout", UpstreamTimeout(timer))
        for timer in ("first_byte_timeout", "response_timeout")
    ),
    Refusal(
        "too large",
        413,
        "the body is larger than 20 bytes",
        "request_too_large",
        "bad_request",
        answer_headers=BODY_FAULT,
        gateway={"limits": {"max_body_bytes": 20}},
    ),
    Refusal(
        "too large by content-length",
        413,
        "the body is larger than 20 bytes",
        "request_too_large",
        "bad_request",
        answer_headers=BODY_FAULT,
        gateway={"limits": {"max_body_bytes": 20}},
        headers=[(b"content-length", b"21")],
    ),
    Refusal(
        "compressed",
        415,
        "compressed request bodies are not supported",
        "unsupported_encoding",
        "bad_request",
        answer_headers=BODY_FAULT,
        headers=[(b"content-encoding", b"gzip")],
    ),
    Refusal("no such path", 404, "no such path: /metrics", "not_found", "not_found", path="/metrics"),
    Refusal(
        "wrong method",
        405,
        f"{CHAT} takes POST",
        "method_not_allowed",
        "not_found",
        method="GET",
        answer_headers={"allow": "POST"},
    ),
    Refusal(
        "wrong method for the list",
        405,
        "the list of models takes GET",
        "method_not_allowed",
        "not_found",
        path="/v1/models",
        answer_headers={"allow": "GET, HEAD"},
    ),
    Refusal(
        "draining",
        503,
        "the gateway is shutting down",
        "service_unavailable",
        "draining",
        answer_headers={"retry-after": "1", "connection": "close"},
        gateway=state(draining=True, closing=True),
    ),
    Refusal(
        "not running",
        503,
        "the gateway is not running",
        "service_unavailable",
        "overloaded",
        answer_headers={"retry-after": "2"},
        gateway=state(running=False),
    ),
]
