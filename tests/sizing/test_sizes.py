from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.sizing.estimate import Estimate
from aibrix_mw.sizing.sizes import Cost, Size, Want, answer, rounded, size
from tests.sizing.results import measured

RATES = st.floats(1e-3, 1e5)


def test_the_production_guides_recipe():
    assert size(27.18, Want(target_rps=50.0, margin=0.65)) == Size(27.1, pytest.approx(17.615), 3)


@given(RATES, RATES, st.floats(0.05, 1))
def test_enough_and_not_one_too_many(rate, target, margin):
    found = size(rate, Want(target_rps=target, margin=margin))
    assert found.replicas * found.per_replica >= target * (1 - 1e-6)
    assert (found.replicas - 1) * found.per_replica < target
    assert found.replicas >= ceil(target / (rate * margin) - 1e-6)


@given(RATES)
def test_the_shown_rate_is_never_above_the_found_one(rate):
    assert rate * 0.99 <= rounded(rate) <= rate * (1 + 1e-9)
    assert rounded(rounded(rate)) == rounded(rate)


def test_an_exact_quotient_is_not_rounded_up():
    assert size(10.0, Want(target_rps=21.0, margin=0.7)).replicas == 3
    assert rounded(1000.0) == 1000.0


def test_prefill_and_decode_are_sized_each_by_its_own_rate():
    runs = {"prefill": measured(Estimate(40.0, 38.0, 42.0)), "decode": measured(Estimate(10.0, 9.0, 11.0))}
    found = answer(runs, Want(target_rps=52.0, margin=0.65))
    assert {role: one.replicas for role, one in found.sizes.items()} == {"prefill": 2, "decode": 8}
    assert found.cost is None


def test_cost():
    found = answer({"replica": measured(Estimate(10.0, 9.0, 11.0))}, Want(target_rps=6.5, gpu_cost=3.6, gpus=2))
    # 1 replica x 2 GPUs x 3.6; 6.5 requests/s with 100 prompt and 11 output tokens for an hour
    assert found.cost.hour == pytest.approx(7.2)
    assert found.cost.million_output == pytest.approx(7.2 / (6.5 * 3600 * 11) * 1e6)
    assert found.cost.million_all == pytest.approx(7.2 / (6.5 * 3600 * 111) * 1e6)
    assert isinstance(found.cost, Cost)


def test_no_answer_unless_each_role_has_a_rate():
    runs = {"prefill": measured(Estimate(40.0, 38.0, 42.0)), "decode": measured(None)}
    assert answer(runs, Want(target_rps=1.0)) is None
    known = Estimate(40.0, 38.0, 42.0)
    assert answer({"replica": measured(known, end="limit")}, Want(target_rps=1.0)) is None
    assert answer({"replica": measured(known, end="generator")}, Want(target_rps=1.0)) is None
    assert answer({"replica": measured(known, end="interrupted")}, Want(target_rps=1.0)) is not None
    assert msgspec.json.encode(answer({}, Want(target_rps=1.0)))
