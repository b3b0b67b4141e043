"""Reading a body: the few fields that are needed, and changing one of them."""

import pytest

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.request import InferenceRequest, RequestFields, parse_fields
from tests.support import ask_for


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"", "the body is not valid JSON", None),
        (b"{", "the body is not valid JSON", None),
        (b'{"model": "m"} x', "the body is not valid JSON", None),
        (b"\xef\xbb\xbf{}", "the body is not valid JSON", None),
        (b'{"model": "\xff"}', "the body is not valid JSON", None),
        (b'{"model": "\\ud800"}', "the body is not valid JSON", None),
        (b'{"model": "m", "x": NaN}', "the body is not valid JSON", None),
        (b'{"model": "m", "x":' + b"[" * 100_000, "the body is not valid JSON", None),
        (b"[]", "the body: Expected `object`, got `array`", None),
        (b"null", "the body: Expected `object`, got `null`", None),
        (b'"m"', "the body: Expected `object`, got `str`", None),
        (b"{}", "model is missing", "model"),
        (b'{"messages": []}', "model is missing", "model"),
        (b'{"model": 5}', "model: Expected `str`, got `int`", "model"),
        (b'{"model": null}', "model: Expected `str`, got `null`", "model"),
        (b'{"model": ["m"]}', "model: Expected `str`, got `array`", "model"),
        (b'{"model": "m", "stream": "yes"}', "stream: Expected `bool | null`, got `str`", "stream"),
        (b'{"model": "m", "stream": 1}', "stream: Expected `bool | null`, got `int`", "stream"),
    ],
)
def test_what_is_refused(body, message, param):
    with pytest.raises(InvalidRequest) as caught:
        parse_fields(body)
    assert caught.value.message.startswith(message)
    assert caught.value.param == param


@pytest.mark.parametrize(("text", "stream"), [("true", True), ("false", False), ("null", False)])
def test_stream(text, stream):
    assert ask_for(b'{"model": "m", "stream": %s}' % text.encode()).stream is stream


def test_what_others_judge_passes():
    fields = parse_fields(b' {"model": "", "messages": 5, "max_tokens": {}, "temperature": "hot"} ')
    assert fields.model == ""


@pytest.mark.parametrize(
    "key", ["kv_transfer_params", "disaggregated_params", "bootstrap_host", "bootstrap_port", "bootstrap_room"]
)
@pytest.mark.parametrize("value", ["{}", "null", "0", '"10.0.0.1"'])
def test_transfer_fields_are_seen(key, value):
    assert parse_fields(b'{"model": "m", "%s": %s}' % (key.encode(), value.encode())).transfer_field() == key
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    assert parse_fields(b'{"model": "m", "%s": %s}' % (escaped.encode(), value.encode())).transfer_field() == key


def test_a_nested_transfer_field_is_none():
    assert parse_fields(b'{"model": "m", "x": {"kv_transfer_params": 1}}').transfer_field() is None


# --- what routing looks at


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ('{"model": "m", "messages": [ {"a":1} ]}', '[ {"a":1} ]'),
        ('{"model": "m", "messages": [1], "tools": [2]}', "[2][1]"),
        ('{"model": "m", "prompt": "a\\u00e9"}', '"a\\u00e9"'),
        ('{"model": "m", "input": ["x"]}', '["x"]'),
        ('{"model": "m", "messages": [1], "prompt": "p", "input": "i"}', "[1]"),
        ('{"model": "m", "tools": null, "messages": null, "prompt": "p"}', '"p"'),
        ('{"model": "m"}', ""),
    ],
)
def test_the_text_for_routing(body, prompt):
    request = ask_for(body.encode())
    assert request.prompt == prompt.encode()
    assert request.prompt is request.prompt
    assert request.prompt_tokens == -(-len(prompt) // 4)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ("", None),
        (', "max_tokens": 5', 5),
        (', "max_tokens": 0', 0),
        (', "max_completion_tokens": 6', 6),
        (', "max_output_tokens": 7', 7),
        (', "max_tokens": 5, "max_completion_tokens": 6', 5),
        (', "max_tokens": null, "max_completion_tokens": 6', 6),
        (', "max_tokens": null, "max_completion_tokens": null, "max_output_tokens": 7', 7),
        (', "max_tokens": null', None),
        (', "max_tokens": -1', None),
        (', "max_tokens": 1.5', None),
        (', "max_tokens": 1e3', None),
        (', "max_tokens": "5"', None),
        (', "max_tokens": 99999999999999999999', None),
    ],
)
def test_max_tokens(fields, tokens):
    assert ask_for(b'{"model": "m"%s}' % fields.encode()).max_tokens == tokens


@pytest.mark.parametrize(("value", "given_id"), [("null", b""), ('"resp_1"', b'"resp_1"')])
def test_previous_response(value, given_id):
    assert ask_for(b'{"model": "m", "previous_response_id": %s}' % value.encode()).previous_response_id == given_id


def test_a_request_without_a_body():
    request = InferenceRequest(model="m", requested_model="alias", fields=RequestFields("alias"))
    assert (request.fields.model, request.stream, request.prompt, request.header(b"x")) == ("alias", False, b"", None)


# --- changing one value
