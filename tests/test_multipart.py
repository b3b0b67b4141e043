"""The field `model` of a form, wherever it stands and however its bytes arrive."""

import pytest

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.multipart import FormModel, boundary_of


def form(*parts, boundary=b"xyz", end=True):
    lines = [
        b"--%b\r\ncontent-disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, head, data) for head, data in parts
    ]
    return b"".join(lines) + (b"--%b--\r\n" % boundary if end else b"")


MODEL = (b'name="model"', b"whisper-1")
FILE = (b'name="file"; filename="a.wav"', b"RIFF\r\n--xy\r\n\r\n\x00\xff")
LANGUAGE = (b'name="language"', b"de")


def model_of(body, size=0, boundary=b"xyz"):
    found = FormModel(boundary)
    for at in range(0, len(body), size or len(body) or 1):
        found.feed(body[at : at + (size or len(body))])
    return found


@pytest.mark.parametrize("parts", [(MODEL, FILE), (FILE, MODEL), (LANGUAGE, MODEL, FILE), (MODEL,)])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64])
def test_wherever_it_stands(parts, size):
    body = form(*parts)
    found = model_of(body, size)
    assert found.model == "whisper-1"
    assert found.renamed(body, "large") == body.replace(b"whisper-1", b"large")


def test_split_at_every_byte():
    body = form(FILE, MODEL, LANGUAGE)
    for at in range(len(body) + 1):
        found = FormModel(b"xyz")
        found.feed(body[:at])
        found.feed(body[at:])
        assert found.model == "whisper-1"
        assert found.renamed(body, "m") == body.replace(b"whisper-1", b"m")


def test_split_at_every_two_bytes():
    body = form(MODEL, LANGUAGE)
    for first in range(0, len(body), 2):
        for second in range(first, len(body), 3):
            found = FormModel(b"xyz")
            for chunk in (body[:first], body[first:second], body[second:]):
                found.feed(chunk)
            assert found.renamed(body, "m") == body.replace(b"whisper-1", b"m")


def test_it_is_known_as_soon_as_its_part_has_ended():
    body = form(MODEL, FILE)
    end = body.index(b"\r\n--xyz", 10) + len(b"\r\n--xyz\r\n")
    found = FormModel(b"xyz")
    found.feed(body[: end - 1])
    assert found.model is None
    found.feed(body[end - 1 : end])
    assert found.model == "whisper-1"


@pytest.mark.parametrize(
    "body",
    [
        form(FILE, LANGUAGE),
        form((b'name="model"; filename="model"', b"whisper-1")),
        form((b'name="models"', b"x"), (b'filename="model"', b"x")),
        form(MODEL, end=False),
        b"",
    ],
    ids=["none", "file named model", "other names", "without an end", "empty"],
)
def test_no_model(body):
    assert model_of(body).model is None


@pytest.mark.parametrize("other", [MODEL, (b"name=model", b"x"), (b'name="model"; filename="m"', b"x")])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_two_of_them_are_one_too_many(other, size):
    for parts in ((MODEL, other), (other, LANGUAGE, MODEL)):
        with pytest.raises(InvalidRequest, match="given twice") as caught:
            model_of(form(*parts), size)
        assert caught.value.param == "model"


def test_other_headers_of_a_part():
    body = (
        b"--xyz\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=model\r\nX: y\r\n\r\nm\r\n--xyz--"
    )
    assert model_of(body).model == "m"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"junk", "not a valid form"),
        (form((b'name="model"', b"\xff")), "not UTF-8"),
        (form((b'name="model"', b"x" * 5000)), "too long a name"),
    ],
)
def test_what_is_refused(body, message):
    with pytest.raises(InvalidRequest, match=message):
        model_of(body)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=xyz", b"xyz"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="x y;z"', b"x y;z"),
        (b"application/json", None),
        (b"", None),
    ],
)
def test_boundaries(content_type, boundary):
    assert boundary_of(content_type) == boundary


def test_a_form_needs_a_boundary():
    for content_type in (b"multipart/form-data", b"multipart/form-data; boundary="):
        with pytest.raises(InvalidRequest, match="boundary"):
            boundary_of(content_type)
    with pytest.raises(InvalidRequest, match="256"):
        FormModel(b"x" * 257)


@pytest.mark.parametrize("before", [b"\r\n", b"\r\nxyz\r\n", b"preamble\r\n", b"-", b" "])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_nothing_stands_before_the_first_boundary(before, size):
    """The parser would read it one way or the other, by how it is cut."""
    body = before + b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--xyz--\r\n'
    with pytest.raises(InvalidRequest, match="does not begin with its boundary"):
        model_of(body, size)
