"""What somebody wants explained."""

import json

from aibrix_mw.explain.question import body_of, parse_question, scope_of


def body(**question):
    return body_of(parse_question(json.dumps(question).encode()))


def test_bytes_stay_as_they_are_but_for_the_model():
    assert body(model="m", body='{"model" :"x",  "messages": [ ]}') == b'{"model" :"m",  "messages": [ ]}'
    assert body(body='{"model":  "x"}') == b'{"model":  "x"}'
    assert body_of(parse_question(b'{"model": "m", "body": {"prompt":  "a"}}')) == b'{"prompt":  "a","model":"m"}'


def test_headers_in_any_script():
    question = parse_question(json.dumps({"model": "m", "headers": {"User": "李"}}).encode())
    assert scope_of(question)["headers"] == [(b"user", "李".encode())]


def test_without_a_body_it_is_a_chat():
    assert body(model="m") == body(model="m", body=None) == b'{"model":"m","messages":[]}'


def test_an_empty_body_gets_the_model():
    assert body(model="m", body="{}") == b'{"model":"m"}'


def test_what_is_no_object_is_the_gateways_to_refuse():
    deep = '{"a": ' + "[" * 100_000
    assert body(model="m", body=deep) == deep.encode()
    assert body(model="m", body="[]") == b"[]"
    assert body(model="m", body="nonsense") == b"nonsense"
