from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.sizing.stream import TokenStream, message_of


def event(**fields):
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def delta(**fields):
    return event(choices=[{"index": 0, "delta": fields}])


CHAT = [
    delta(role="assistant", content=""),
    delta(content="a"),
    b": ping\n\n",
    delta(content="b"),
    event(choices=[{"delta": {}, "finish_reason": "length"}]),
    event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 5}),
    b"data: [DONE]\n\n",
]


def read(events):
    """Each event a second after the one before."""
    stream = TokenStream()
    for second, data in enumerate(events):
        stream.feed(data, float(second))
    return stream


def test_a_chat_stream():
    stream = read(CHAT)
    assert (stream.first, stream.last, stream.complete, stream.failure) == (1.0, 3.0, True, None)
    assert (stream.tokens, stream.prompt_tokens) == (5, 7)


def test_without_usage_events_are_counted():
    assert read(CHAT[:4]).tokens == 2
    assert not read(CHAT[:4]).complete


@pytest.mark.parametrize(
    "token",
    [
        event(choices=[{"text": "x"}]),
        delta(reasoning_content="x"),
        delta(reasoning="x"),
        delta(tool_calls=[{"index": 0}]),
        b'data:{"choices":[{"text":"x"}]}\r\n\r\n',
    ],
)
def test_kinds_of_tokens(token):
    assert read([token]).first == 0.0


def test_an_error_in_the_stream():
    assert read([event(error={"message": "engine died"})]).failure == "engine died"


def test_what_is_no_event():
    with pytest.raises(ValueError, match="malformed"):
        read([b"data: oops\n"])


@given(st.lists(st.integers(0, 600), max_size=20))
def test_bytes_may_be_split_anywhere(cuts):
    whole = b"".join(CHAT)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    stream = read([whole[begin:end] for begin, end in pairwise(places)])
    assert (stream.tokens, stream.complete, stream.first is not None) == (5, True, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "too many", "code": 429}}', "too many"),
        (b'{"error": "busy"}', "busy"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"object": "error", "message": "old shape"}', "old shape"),
        (b'{"error": {"code": 1}}', '{"error": {"code": 1}}'),
        (b'{"error": null}', '{"error": null}'),
        (b"<html>\n  nginx</html>", "<html> nginx</html>"),
        (b"[1]", "[1]"),
        (b"", ""),
    ],
)
def test_messages_of_errors(body, message):
    assert message_of(body) == message
