"""What all targets need: bytes that are nearly right, and cut anywhere."""

from hypothesis import strategies as st


@st.composite
def cut(draw, data):
    """The same bytes in pieces, none of them empty."""
    if len(data) < 2:
        return [data] if data else []
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@st.composite
def damaged(draw, data):
    """The bytes with a few of them replaced, left out or doubled."""
    data = bytearray(data)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 4))
        data[at : at + length] = draw(
            st.sampled_from(
                [b"", b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"0", b"\xff", b"%2e", b'"', b"{"]
            )
            | st.binary(max_size=3)
            | st.just(bytes(data[at : at + length] * 2))
        )
    return bytes(data)
