from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.sizing.search import CONFIRM, DOUBLE, PRECISION, Bracket, Probe, search

RATES = st.floats(0.01, 1000)


def explore(sustainable, start=1.0, most=None):
    """What a search finds, and the rates that it tried."""
    steps, probes, answer = search(start, most), [], None
    try:
        while True:
            probe = steps.send(answer)
            probes.append(probe)
            answer = sustainable(probe)
    except StopIteration as found:
        return found.value, probes


@given(start=RATES, factor=st.floats(0.02, 5000))
def test_the_bracket_holds_the_knee(start, factor):
    knee = start * factor
    bracket, probes = explore(lambda probe: probe.rate <= knee, start)
    assert bracket.low <= knee < bracket.high
    assert bracket.high / bracket.low <= PRECISION
    assert bracket.confirmed
    assert [(probe.phase, probe.rate) for probe in probes[-2:]] == [(CONFIRM, bracket.low), (CONFIRM, bracket.high)]


@given(start=RATES, most=RATES)
def test_no_rate_is_tried_above_the_highest_allowed(start, most):
    bracket, probes = explore(lambda probe: True, start, most)
    assert bracket == Bracket(most, None, confirmed=True)
    assert probes[-1] == Probe(most, CONFIRM)
    assert max(probe.rate for probe in probes) == most


def test_a_knee_just_below_the_highest_rate():
    bracket, _ = explore(lambda probe: probe.rate <= 95, most=100.0)
    assert bracket.low <= 95 < bracket.high <= 100


def test_no_rate_is_sustainable():
    bracket, probes = explore(lambda probe: False, start=8.0)
    assert bracket.low is None
    assert [probe.rate for probe in probes] == [8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125]
    assert bracket.high == probes[-1].rate


@pytest.mark.parametrize(("truth", "low", "high"), [(20.0, 0.0, 21.0), (40.0, 30.0, inf)])
def test_a_confirmation_that_turns_out_otherwise_moves_the_bracket(truth, low, high):
    """The search was led to 30; what is confirmed is the truth."""
    bracket, _ = explore(lambda probe: probe.rate <= (truth if probe.phase == CONFIRM else 30.0))
    assert low <= bracket.low
    assert bracket.high <= high


@pytest.mark.parametrize("always", [True, False])
def test_revisions_end(always):
    bracket, probes = explore(lambda probe: always if probe.phase == CONFIRM else probe.rate <= 30)
    assert len(probes) < 40
    assert (bracket.low is None) != always
    assert not bracket.confirmed


def test_a_confirmation_beyond_the_highest_rate():
    bracket, _ = explore(lambda probe: probe.rate <= 97 or probe.phase == CONFIRM, most=100.0)
    assert bracket == Bracket(100.0, None)


def test_the_highest_rate_is_sustainable_only_in_a_short_step():
    bracket, _ = explore(lambda probe: probe.rate <= 80 or probe.phase == DOUBLE, most=100.0)
    assert bracket.low <= 80 < bracket.high <= 100
    assert bracket.confirmed
