from math import isnan

import pytest

from aibrix_mw.simulation.records import Record, Sample, figures, heaviest_user, jain, percentile


def record(user="u", wait=1.0, prompt=100, cached=0, output=10, whole=2.0):
    return Record(user, 0, "e", 10.0, 10.0 + wait, 10.0 + whole, prompt, cached, output)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)])
def test_percentile(share, value):
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == pytest.approx(value)


def test_percentile_of_none():
    assert isnan(percentile([], 0.5))


def test_jain():
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain([]) == 1.0


def test_figures():
    records = [record("a", 1.0, cached=60), record("a", 2.0), record("b", 4.0, whole=8.0)]
    samples = [Sample(0.0, 30, 10.0), Sample(1.0, 10, 10.0), Sample(2.0, 9, 3.0)]
    found = figures(records, samples, 0.5)
    assert (found.requests, found.first_p50, found.whole_p50, found.busy) == (3, 2.0, 2.0, 0.5)
    assert found.cache_hits == pytest.approx(0.2)
    assert found.skew == pytest.approx(1.0 + 0.99 * 2.0)  # the sample with a mean of 3 does not count
    assert found.others == 4.0  # a has sent more
    assert found.fairness == pytest.approx((1.5 + 4.0) ** 2 / (2 * (1.5**2 + 4.0**2)))


def test_figures_of_a_fleet_that_is_never_loaded():
    assert figures([record()], [Sample(0.0, 3, 1.0)], 0.0).skew is None


def test_heaviest_user():
    assert heaviest_user([record("a", prompt=100), record("b", prompt=60), record("b", prompt=60)]) == "b"
    assert heaviest_user([]) is None
