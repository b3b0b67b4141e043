"""Cells of the hot path."""

from aibrix_mw.telemetry.histogram import Histogram


def test_a_bound_belongs_to_its_bucket():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 7.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == 12.0


def test_an_exemplar_belongs_to_the_bucket_of_its_value():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.5, 1.7):
        histogram.observe(value)
        histogram.exemplify(value, f"{value}", 7.0)
    assert histogram.exemplars == {0: ("0.5", 0.5, 7.0), 1: ("1.7", 1.7, 7.0)}
