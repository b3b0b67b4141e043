"""The head of a message on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.head import head_of, size_of

VISIBLE = st.binary(max_size=20).filter(lambda text: not {0, 10, 13} & set(text))


def test_a_line_each_and_the_end_as_it_is():
    head = head_of(b"HTTP/1.1 200 OK", [(b"a", b"1"), (b"b", b"")], b"connection: close\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\na: 1\r\nb: \r\nconnection: close\r\n\r\n"


@given(VISIBLE, st.lists(st.tuples(VISIBLE, VISIBLE), max_size=5))
def test_whatever_has_no_line_break_is_so_many_lines(start, headers):
    assert head_of(start, headers, b"\r\n").count(b"\r\n") == len(headers) + 2


@pytest.mark.parametrize("mark", [b"\r", b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("place", ["start", "name", "value"])
def test_a_break_that_is_not_ours_is_refused(mark, place):
    texts = {"start": b"start", "name": b"name", "value": b"value"}
    texts[place] += mark + b"x"
    with pytest.raises(ValueError, match="line break or a NUL"):
        head_of(texts["start"], [(texts["name"], texts["value"])], b"\r\n")


@given(VISIBLE, st.lists(st.tuples(VISIBLE, VISIBLE), max_size=5))
def test_the_size_is_that_on_the_wire(target, headers):
    assert size_of(target, headers) == len(head_of(b"POST %b HTTP/1.1" % target, headers, b"\r\n"))
