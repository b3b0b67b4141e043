import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.engine import text


@pytest.mark.parametrize(("data", "tokens"), [(b"", 0), (b"a", 1), (b"abcd", 1), (b"abcde", 2)])
def test_a_token_is_four_bytes(data, tokens):
    assert text.count_tokens(data) == tokens == len(text.to_ids(data))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_ids_turn_back_into_text(written):
    assert text.from_ids(text.to_ids(written.encode())).rstrip(b"\0").decode() == written


@pytest.mark.parametrize("number", [-1, 1 << 32])
def test_a_number_that_is_no_id(number):
    with pytest.raises(ValueError, match="token ids are numbers from 0"):
        text.from_ids([number])


def test_words_depend_on_seed_prompt_and_position():
    def answer(prompt, seed):
        return "".join(text.word(text.digest(prompt, seed), position) for position in range(12))

    assert answer(b"hello", 0) == answer(b"hello", 0)
    assert len({answer(b"hello", 0), answer(b"hello", 1), answer(b"hullo", 0)}) == 3
    assert answer(b"hello", -1) != answer(b"hello", 1)
    assert not answer(b"hello", 0).startswith(" ")
    assert len(answer(b"hello", 0).split(" ")) == 12


def test_an_embedding_has_length_one_and_depends_on_the_text():
    vector = text.embedding(b"hello", 0, 8)
    assert len(vector) == 8
    assert math.isclose(sum(v * v for v in vector), 1)
    assert vector == text.embedding(b"hello", 0, 8)
    assert vector != text.embedding(b"hello", 1, 8)
    assert vector != text.embedding(b"hullo", 0, 8)


def test_packed_floats_are_little_endian_float32():
    packed = base64.b64encode(text.pack_floats([1.0, -0.5]))
    assert struct.unpack("<2f", base64.b64decode(packed)) == (1.0, -0.5)


def test_block_hashes_chain():
    one, two, three = (text.block_hashes(data, 1, "m") for data in (b"aaaabbbbcccc", b"aaaaXbbbcccc", b"aaaabbbbccc"))
    assert len(one) == 3
    assert one[0] == two[0]
    assert set(one[1:]).isdisjoint(two[1:])
    assert three == one[:2]
    assert text.block_hashes(b"aaaabbbbcccc", 1, "other")[0] != one[0]
    assert text.block_hashes(b"aaaabbbbcccc", 4, "m") == ()
