"""Reading a body: the few fields that are needed, and changing one of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.request import InferenceRequest, RequestFields, parse_fields, replace_value, top_level_values
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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"model":"a"}', '{"model":"NEW"}'),
        (' { "model" : "a" , "x" : 1 } ', ' { "model" : "NEW" , "x" : 1 } '),
        ('{"x": {"model": "a"}, "model": "a"}', '{"x": {"model": "a"}, "model": "NEW"}'),
        ('{"x": [{"model": "a"}], "model": "a"}', '{"x": [{"model": "a"}], "model": "NEW"}'),
        ('{"model": "a", "model": "b"}', '{"model": "NEW", "model": "NEW"}'),
        ('{"mod\\u0065l": "a"}', '{"mod\\u0065l": "NEW"}'),
        ('{"x": "\\"model\\": \\"a\\"", "model": "a"}', '{"x": "\\"model\\": \\"a\\"", "model": "NEW"}'),
        ('{"model": "}{][,:"}', '{"model": "NEW"}'),
        ('{"x": "model", "model": "a"}', '{"x": "model", "model": "NEW"}'),
        ('{"x": [], "y": {}, "z": -1.5e3, "model": "a", "n": null}', None),
    ],
)
def test_only_the_value_changes(before, after):
    after = after or before.replace('"a"', '"NEW"')
    assert replace_value(before.encode(), "model", b'"NEW"') == after.encode()
    assert replace_value(bytearray(before.encode()), "model", b'"NEW"') == after.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "x", '"', "}"]) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
SPACE = st.text(" \t\r\n", max_size=2)


@st.composite
def objects(draw):
    """An object as text with any white space and escapes: pieces, and which of them are values of `model`."""
    keys = draw(st.lists(st.sampled_from(["model", "x", "mode"]) | st.text(max_size=5), max_size=5))
    keys.insert(draw(st.integers(0, len(keys))), "model")
    pieces, models = [draw(SPACE) + "{"], []
    for at, key in enumerate(keys):
        written = draw(st.sampled_from([json.dumps(key), _escaped(key)]))
        value = json.dumps(draw(JSON), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        pieces += [draw(SPACE), written, draw(SPACE), ":", draw(SPACE)]
        models += [len(pieces)] if key == "model" else []
        pieces += [value, draw(SPACE), "," if at < len(keys) - 1 else "}"]
    return [piece.encode("utf-8", "surrogatepass") for piece in [*pieces, draw(SPACE)]], models


def _escaped(text):
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2)) + '"'


@given(objects())
def test_bytes_out_are_bytes_in_but_for_the_value(written):
    pieces, models = written
    expected = [b'"NEW"' if at in models else piece for at, piece in enumerate(pieces)]
    assert replace_value(b"".join(pieces), "model", b'"NEW"') == b"".join(expected)


@given(objects())
def test_values_are_found_where_they_are(written):
    body = b"".join(written[0])
    found = [(key, json.loads(body[start:end])) for key, start, end in top_level_values(body)]
    assert dict(found) == json.loads(body)
