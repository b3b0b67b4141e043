"""The header `traceparent`."""

import pytest

from aibrix_mw.trace import Parent, format_traceparent, parse_traceparent

ID, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0xF067AA0BA902B7


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_written_is_read(sampled):
    assert parse_traceparent(format_traceparent(ID, SPAN, sampled=sampled)) == Parent(ID, SPAN, sampled)


def test_of_versions_to_come_the_known_part_is_read():
    later = format_traceparent(ID, SPAN, sampled=True).replace(b"00-", b"cc-", 1) + b"-what comes"
    assert parse_traceparent(later) == Parent(ID, SPAN, sampled=True)


def test_flags_that_are_not_known_do_not_matter():
    assert parse_traceparent(format_traceparent(ID, SPAN, sampled=True)[:-2] + b"03").sampled
    assert not parse_traceparent(format_traceparent(ID, SPAN, sampled=True)[:-2] + b"02").sampled
