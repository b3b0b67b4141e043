"""Sums over a sliding window."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aibrix_mw.strategies.sliding import SlidingSums


def test_sums_by_key():
    sums = SlidingSums(300.0)
    sums.add("a", 10.0, 0.0)
    sums.add("a", 5.0, 100.0)
    sums.add("b", 1.0, 100.0)
    assert (sums.of("a", 100.0), sums.of("b", 100.0), sums.of("c", 100.0)) == (15.0, 1.0, 0.0)
    assert sums.bounds(100.0) == (1.0, 15.0)
    assert dict(sums.read(100.0)) == {"a": 15.0, "b": 1.0}


def test_what_is_older_than_the_window_is_out():
    sums = SlidingSums(300.0)
    sums.add("a", 10.0, 0.5)
    sums.add("a", 5.0, 100.0)
    assert (sums.of("a", 299.9), sums.of("a", 300.0), sums.of("a", 400.0)) == (15.0, 5.0, 0.0)
    assert sums.bounds(400.0) is None
    assert len(sums) == 0


def test_an_amount_may_be_corrected_where_it_was_added():
    sums = SlidingSums(300.0)
    sums.add("a", 100.0, 0.0)
    sums.add("a", 50.0, 10.0)
    sums.add("a", -60.0, 20.0, at=0.0)
    assert sums.of("a", 20.0) == 90.0
    assert sums.of("a", 300.0) == 50.0
    sums.add("a", -60.0, 301.0, at=0.0)
    assert sums.of("a", 301.0) == 50.0


def test_a_correction_in_a_slot_of_its_own_leaves_in_time_too():
    sums = SlidingSums(300.0)
    sums.add("b", 1.0, 50.0)
    sums.add("a", 7.0, 60.0, at=20.0)
    assert sums.of("a", 60.0) == 7.0
    assert sums.of("a", 320.0) == 0.0
    assert sums.of("b", 320.0) == 1.0


def test_keys_are_bounded():
    """Clients write names of users."""
    sums = SlidingSums(300.0, keys=10)
    for number in range(100):
        sums.add(f"user-{number}", 1.0 + number, float(number))
    assert len(sums) == 10
    assert sums.bounds(99.0) == (91.0, 100.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.integers(0, 40)), max_size=60))
def test_it_is_what_adding_up_gives(charges):
    sums, now, kept = SlidingSums(100.0, slots=100), 0.0, []
    for key, amount, pause in charges:
        now += pause
        sums.add(key, float(amount), now)
        kept.append((now, key, float(amount)))
        alive = [(k, a) for at, k, a in kept if int(at) > now - 100.0]
        expected = {k: sum(a for other, a in alive if other == k) for k, _ in alive}
        assert {k: sums.of(k, now) for k in expected} == expected
        assert sums.bounds(now) == (min(expected.values()), max(expected.values()))


# --- what others have counted


def test_what_others_have_counted_is_a_part_of_every_sum():
    sums = SlidingSums(300.0)
    sums.add("a", 10.0, 0.0)
    sums.hear({"a": 5.0, "b": 40.0, "c": 0.0})
    assert dict(sums.read(1.0)) == {"a": 15.0, "b": 40.0}
    assert sums.bounds(1.0) == (15.0, 40.0)
    assert sums.own(1.0) == {"a": 10.0}
    sums.add("b", 2.0, 100.0)
    assert dict(sums.read(300.0)) == {"a": 5.0, "b": 42.0}
    assert sums.own(300.0) == {"b": 2.0}


def test_what_others_no_longer_count_is_gone():
    sums = SlidingSums(300.0)
    sums.hear({"a": 5.0})
    sums.add("b", 1.0, 0.0)
    sums.hear({})
    assert dict(sums.read(1.0)) == {"b": 1.0}
    assert sums.bounds(1.0) == (1.0, 1.0)


def test_keys_of_others_do_not_push_out_ones_own():
    sums = SlidingSums(300.0, keys=2)
    sums.add("a", 1.0, 0.0)
    sums.hear({f"user-{number}": 1.0 for number in range(5)})
    sums.add("b", 1.0, 1.0)
    assert sums.own(1.0) == {"a": 1.0, "b": 1.0}
    sums.add("c", 1.0, 2.0)
    assert sums.own(2.0) == {"b": 1.0, "c": 1.0}
    assert len(sums) == 7
