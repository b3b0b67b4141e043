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
