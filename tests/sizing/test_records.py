from math import isnan

from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.sizing.records import UNFINISHED, Record, Step, quantile
from aibrix_mw.sizing.schedule import Plan


@given(st.lists(st.integers(0, 20), min_size=1, max_size=80), st.integers(0, 20))
def test_a_p95_is_within_a_bound_when_at_most_a_twentieth_is_above_it(values, bound):
    assert (quantile(values, 0.95) <= bound) == (20 * sum(value > bound for value in values) <= len(values))


def test_quantile_of_none():
    assert isnan(quantile([], 0.5))
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_times_of_an_answer():
    record = Record(due=1.0, sent=1.5, ended=4.0, first=2.0, last=4.0, tokens=5)
    assert (record.first_token, record.per_token, record.failed) == (0.5, 0.5, False)


def test_a_request_that_was_cut_has_waited_so_long_and_has_not_failed():
    record = Record(1.0, 1.0, 3.0, error=UNFINISHED)
    assert (record.first_token, record.per_token, record.failed) == (2.0, None, False)


def test_a_failed_request_has_no_times():
    record = Record(1.0, 1.0, 3.0, error="status_503")
    assert (record.first_token, record.per_token, record.failed) == (None, None, True)


def test_one_token_says_nothing_about_further_ones():
    assert Record(0.0, 0.0, 1.0, 1.0, 1.0, 1).per_token is None


def test_a_step_counts_what_is_due_in_its_measured_part():
    records = [Record(due, due, due + 1) for due in (0.5, 1.0, 2.9, 3.0)]
    assert [record.due for record in Step(Plan(1.0, 1.0, 2.0), records, 4.0).counted()] == [1.0, 2.9]
