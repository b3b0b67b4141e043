from collections import Counter
from itertools import pairwise
from random import Random
from statistics import mean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.sizing.schedule import Plan, arrivals

SECONDS = st.floats(0, 50)


@given(st.floats(0.01, 50), SECONDS, st.floats(0.1, 50), SECONDS, st.integers())
def test_each_part_has_its_rate(rate, warm_up, measured, cool_down, seed):
    plan = Plan(rate, warm_up, measured, cool_down)
    instants = arrivals(plan, Random(seed))
    assert instants == sorted(instants)
    assert sum(plan.counts(instant) for instant in instants) == plan.requests
    assert sum(instant < warm_up for instant in instants) == round(rate * warm_up)
    assert all(0 <= instant < plan.seconds for instant in instants)


def test_the_seed_decides():
    plan = Plan(10.0, 1.0, 5.0, 1.0)
    assert arrivals(plan, Random(1)) == arrivals(plan, Random(1)) != arrivals(plan, Random(2))


def test_arrivals_are_a_poisson_process():
    instants = arrivals(Plan(100.0, 0.0, 1000.0), Random(3))
    gaps = [after - before for before, after in pairwise(instants)]
    assert mean(gaps) == pytest.approx(0.01, rel=0.02)
    assert variance(gaps) == pytest.approx(0.01**2, rel=0.05)  # exponential: as large as the mean squared
    counts = Counter(int(instant) for instant in instants)
    assert variance(counts.values()) == pytest.approx(100, rel=0.2)  # Poisson: as large as the mean


def test_even_the_lowest_rate_asks_once():
    assert Plan(0.001, 0.0, 1.0).requests == 1
