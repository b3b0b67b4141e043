"""Chunks of an answer: usage is found wherever they are cut, and nothing that an engine says breaks the reader."""

import json

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.tokens import Usage
from aibrix_mw.usage import UsageReader
from tests.fuzz.cutting import cut, damaged

COUNT = st.integers(-5, 2**70) | st.none() | st.floats() | st.text(max_size=3)
NAMES = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
]
OBJECT = st.dictionaries(st.sampled_from(NAMES), COUNT, max_size=4)
DETAILS = st.fixed_dictionaries(
    {}, optional={"prompt_tokens_details": st.dictionaries(st.just("cached_tokens"), COUNT)}
)
TEXT = st.text(alphabet='"usage{}\\: \n', max_size=20)


@st.composite
def streams(draw):
    """Events with and without usage, maybe damaged, and a way to cut them."""
    raw = b""
    for _ in range(draw(st.integers(1, 4))):
        event = {"x": draw(TEXT)} | ({"usage": draw(OBJECT) | draw(DETAILS)} if draw(st.booleans()) else {})
        raw += b"data: " + json.dumps(event).encode() + b"\n\n"
    raw = draw(damaged(raw))
    return raw, draw(cut(raw))


def usage_of(pieces):
    reader = UsageReader()
    reader.start([(b"content-type", b"text/event-stream")])
    for piece in pieces:
        reader.feed(piece)
    return reader.usage


@given(streams())
def test_streams(case):
    raw, pieces = case
    usage = usage_of([raw])
    assert usage == usage_of(pieces)
    assert usage is None or isinstance(usage, Usage)
    assert usage is None or min(usage.input, usage.output, usage.cached) >= 0
