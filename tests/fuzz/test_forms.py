"""Multipart bodies: one model is found wherever they are cut, or the form is refused."""

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.multipart import FormModel, boundary_of
from tests.fuzz.cutting import cut, damaged

PARTS = [
    b'Content-Disposition: form-data; name="model"\r\n\r\nm',
    b'Content-Disposition: form-data; name="model"\r\n\r\nother',
    b'content-disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n\0\1--x\r\n',
    b'Content-Disposition: form-data; name="prompt"\r\n\r\n--xyz',
    b"X: y\r\n\r\n",
    b"",
]


@st.composite
def forms(draw):
    """A form, maybe damaged, and a way to cut it."""
    parts = draw(st.lists(st.sampled_from(PARTS), max_size=4))
    raw = b"".join(b"--xyz\r\n%b\r\n" % part for part in parts) + draw(st.sampled_from([b"--xyz--\r\n", b"--xyz", b""]))
    raw = draw(damaged(raw))
    return raw, draw(cut(raw))


def model_of(pieces):
    form = FormModel(b"xyz")
    try:
        for piece in pieces:
            form.feed(piece)
    except InvalidRequest:
        return None  # like a form in which no model is found
    return form.model


@given(forms())
def test_forms(case):
    raw, pieces = case
    assert model_of([raw]) == model_of(pieces)


@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: f"multipart/form-data; boundary={text}".encode()))
def test_boundaries(content_type):
    try:
        boundary = boundary_of(content_type)
    except InvalidRequest:
        return
    assert boundary is None or isinstance(boundary, bytes)
