"""Single members change, all other bytes stay."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.splice import JsonObject

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["a", "b", "max_tokens", 'q"\\', "ü", ""])
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=6)
NEW = st.dictionaries(KEYS | st.just("new"), st.none() | st.just(b"[1, 2]"), max_size=4)


def text_of(value, indent, ascii_only):
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@given(OBJECTS, NEW, st.sampled_from([None, 0, 2]), st.booleans())
def test_it_is_what_a_dict_would_be(value, edits, indent, ascii_only):
    text = b" " + text_of(value, indent, ascii_only) + b"\n"
    kept = {key: item for key, item in value.items() if key not in edits}
    expected = kept | {key: [1, 2] for key, new in edits.items() if new is not None}
    if expected:
        assert json.loads(JsonObject(text).edited(edits)) == expected


@given(OBJECTS, st.sampled_from([None, 2]))
def test_without_edits_nothing_changes(value, indent):
    text = text_of(value, indent, True)
    assert JsonObject(text).edited({}) == text
    assert JsonObject(bytearray(text)).edited({}) == text


@given(st.lists(st.tuples(st.sampled_from("ab"), VALUES), min_size=1, max_size=5), st.sampled_from(["", " ", "\n\t"]))
def test_keys_that_are_there_twice(members, space):
    text = "{" + ",".join(f'{space}"{key}"{space}:{space}{json.dumps(value)}{space}' for key, value in members) + "}"
    found = JsonObject(text.encode())
    keys = [key for key, _ in members]
    assert found.twice(["a"]) == ("a" if keys.count("a") > 1 else None)
    assert found.edited({}) == text.encode()
    edited = json.loads(found.edited({"a": b"0", "c": b"1"}))
    assert edited == {**json.loads(text), "a": 0, "c": 1}


@pytest.mark.parametrize(
    ("edits", "result"),
    [
        ({"a": None}, b'{ "b" : "x,}" }'),
        ({"b": None}, b'{"a":1 }'),
        ({"a": b"2", "z": b"{}"}, b'{"a":2 , "b" : "x,}" ,"z":{}}'),
    ],
)
def test_exact_bytes(edits, result):
    assert JsonObject(b'{"a":1 , "b" : "x,}" }').edited(edits) == result


def test_nothing_is_left():
    assert JsonObject(b'{"a":1,"b":2}').edited({"a": None, "b": None}) == b"{}"


# --- bytes out are bytes in


def renamed(body):
    return JsonObject(body).edited({"model": b'"NEW"'})


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
    assert renamed(before.encode()) == after.encode()
    assert renamed(bytearray(before.encode())) == after.encode()


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
    assert renamed(b"".join(pieces)) == b"".join(expected)
