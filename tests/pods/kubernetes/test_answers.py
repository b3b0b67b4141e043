"""What the API server answers."""

import msgspec
import pytest

from aibrix_mw.pods.kubernetes.answers import (
    Away,
    Gone,
    Malformed,
    Refused,
    api_status,
    failure,
    object_meta,
    page,
    watch_event,
)

WHERE = ("list", "pods", "namespace ns")


def body(code, message):
    return msgspec.json.encode({"kind": "Status", "metadata": {}, "code": code, "message": message})


def test_a_page():
    found = page(b'{"metadata": {"resourceVersion": "7", "continue": "abc"}, "items": [{"metadata": {}}]}')
    assert (found.metadata.resource_version, found.metadata.token, len(found.items)) == ("7", "abc", 1)
    assert page(b'{"metadata": {}, "items": null}').items is None


def test_a_line_of_a_watch():
    event = watch_event(b'{"type": "ADDED", "object": {"metadata": {"uid": "u", "resourceVersion": "8", "x": 1}}}')
    meta = object_meta(event.object)
    assert (event.type, meta.uid, meta.resource_version) == ("ADDED", "u", "8")


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b'{"metadata": 1}', b'{"metadata": {}, "items": {}}', b"\xff"])
def test_what_is_no_answer_of_an_api_server(raw):
    with pytest.raises(Malformed, match="no list or watch of pods"):
        page(raw)


def test_a_line_that_is_broken():
    with pytest.raises(Malformed):
        watch_event(b'{"type": "ADDED", ')


def test_a_status():
    assert api_status(body(410, "too old")).code == 410
    assert api_status(b"<html>bad gateway") == api_status(b"{}")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            401,
            "unauthorized (401): the API server does not accept the gateway's credentials (verb list, resource pods, ",
        ),
        (403, "forbidden (403): the gateway's account lacks a right: verb list, resource pods, namespace ns: said so"),
        (429, "status 429 (verb list, resource pods, namespace ns): said so"),
        (500, "status 500 (verb list, resource pods, namespace ns): said so"),
    ],
)
def test_refusals_name_verb_resource_and_namespace(status, expected):
    error = failure(status, *WHERE, body(status, "said so"))
    assert isinstance(error, Refused)
    assert str(error).startswith(expected)
    assert error.longest_wait == 30


def test_a_version_that_is_gone():
    assert isinstance(failure(410, *WHERE, b""), Gone)


def test_how_long_to_wait():
    assert failure(429, *WHERE, b"", "7").at_least == 7
    assert failure(429, *WHERE, b"", "3600").at_least == 30
    assert failure(429, *WHERE, b"", "Wed, 21 Oct 2026 07:28:00 GMT").at_least == 0
    assert Away.longest_wait == 1
