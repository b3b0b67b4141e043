"""How fast a pod answers, as we see it."""

from math import exp

import pytest

from aibrix_mw.pods.latency import DECAY, SMALLEST_PROMPT, Latency, PeakEwma


def test_nothing_is_known_without_a_sample():
    assert PeakEwma().read(5.0) is None


def test_a_sample_above_jumps_and_one_below_pulls_slowly():
    """After 10 s a sample of 1 below 3 leaves 3/e + 1 x (1 - 1/e) = 1.7358."""
    average = PeakEwma()
    average.add(2.0, 0.0)
    average.add(3.0, 0.1)
    assert average.read(0.1) == 3.0
    average.add(1.0, 10.1)
    assert average.read(10.1) == pytest.approx(3.0 / exp(1) + 1.0 - 1.0 / exp(1))
    assert average.read(10.1) == pytest.approx(1.7358, abs=1e-4)


def test_it_decays_unless_something_confirms_it():
    average = PeakEwma()
    average.add(2.0, 100.0)
    assert average.read(100.0 + DECAY) == pytest.approx(2.0 / exp(1))
    assert average.read(99.0) == 2.0  # a clock that steps back changes nothing


def test_first_tokens_count_by_prompt_token():
    latency = Latency()
    latency.saw_first_token(0.5, 1000, 0.0)
    assert latency.first_token.read(0.0) == 0.0005
    latency.saw_first_token(0.8, 0, 0.0)
    assert latency.first_token.read(0.0) == 0.8 / SMALLEST_PROMPT


def test_output_counts_by_token_and_one_token_tells_nothing():
    latency = Latency()
    latency.saw_output(1.0, 0, 0.0)
    assert latency.output_token.read(0.0) is None
    latency.saw_output(1.0, 50, 0.0)
    assert latency.output_token.read(0.0) == 0.02
