"""`vtc-basic`: worked numbers, and who is charged for what."""

from random import Random

import pytest

from aibrix_mw.outcome import Outcome
from aibrix_mw.strategies.vtc_basic import FIRST_BUCKET, NOISE, TOLD, VtcBasic
from tests.support import Clock, ask_for, make_pods


class Quiet(Random):
    """Chance without noise."""

    def random(self):
        return 0.0


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def strategy(clock):
    return VtcBasic(Quiet(), clock=clock)


def request_of(user, tokens=100):
    request = ask_for(b'{"model": "m", "prompt": "%s"}' % (b"x" * (4 * tokens - 2)))
    request.user = user
    return request


def usage(prompt, completion):
    return Outcome(name="ok", status=200, prompt_tokens=prompt, completion_tokens=completion)


def test_a_new_user_among_nobody(strategy):
    """No tokens: wanted index 0; fairness i / 3, twice the utilisation in_flight / 100, at most 1."""
    pods = make_pods(4)
    pods[0].in_flight, pods[1].in_flight = 50, 300
    assert strategy.scores(request_of("a"), pods) == pytest.approx([1.0, 1 / 3 + 2, 2 / 3, 1.0])


def test_a_worked_example(strategy, clock):
    """Users with 3000 and 9000 tokens: bucket 6000; 9000 / 6000 = 1.5 of 3."""
    strategy.tokens.add("light", 3000.0, clock.now)
    strategy.tokens.add("heavy", 9000.0, clock.now)
    pods = make_pods(4)
    expected = [abs(index - 1.5) / 3 for index in range(4)]
    assert strategy.scores(request_of("heavy"), pods) == pytest.approx(expected)
    expected = [abs(index - 0.5) / 3 for index in range(4)]
    assert strategy.scores(request_of("light"), pods) == pytest.approx(expected)


def test_the_bucket(strategy, clock):
    assert strategy._share("nobody") == 0.0
    strategy.tokens.add("small", 10.0, clock.now)
    assert strategy._share("small") == 10 / 1000
    assert FIRST_BUCKET == 4500


def test_the_order_of_pods_does_not_matter(strategy, clock):
    strategy.tokens.add("a", 3000.0, clock.now)
    pods = make_pods(4)
    ordered = strategy.scores(request_of("a"), pods)
    assert strategy.scores(request_of("a"), pods[::-1]) == ordered[::-1]


def test_the_noise_is_small():
    strategy = VtcBasic(Random(1), clock=Clock())
    (pod,) = pods = make_pods(1)
    scores = [score for _ in range(500) for score in strategy.scores(request_of("a"), pods) if score is not None]
    assert len(scores) == 500
    assert 0 <= min(scores) < 0.1 * NOISE
    assert 0.9 * NOISE < max(scores) <= NOISE
    assert strategy.pick(request_of("a"), pods).pod is pod


def test_weights():
    strategy = VtcBasic(Quiet(), {"fairnessWeight": 0.0, "utilizationWeight": 2.0}, Clock())
    pods = make_pods(2)
    pods[0].in_flight = 10
    assert strategy.scores(request_of("a"), pods) == pytest.approx([0.2, 0.0])


def test_routing_charges_the_estimate(strategy, clock):
    """100 + 2 x 150."""
    strategy.pick(request_of("a"), make_pods(2))
    assert strategy.tokens.of("a", clock.now) == 400.0


def test_the_engines_count_replaces_it(strategy, clock):
    request = request_of("a")
    target = strategy.pick(request, make_pods(2))
    clock.now += 120.0
    strategy.observe(request, target, usage(80, 10))
    assert strategy.tokens.of("a", clock.now) == 100.0
    clock.now = 1000.0 + 300.0  # as of when it was charged
    assert strategy.tokens.of("a", clock.now) == 0.0


def test_without_a_count_the_estimate_stays(strategy, clock):
    request = request_of("a")
    strategy.observe(request, strategy.pick(request, make_pods(2)), Outcome(name="client_cancelled", status=499))
    assert strategy.tokens.of("a", clock.now) == 400.0


def test_an_answer_that_is_no_text_has_no_output(strategy, clock):
    request = request_of("a")
    strategy.observe(request, strategy.pick(request, make_pods(2)), usage(70, None))
    assert strategy.tokens.of("a", clock.now) == 70.0


def test_a_request_is_charged_once_however_many_pods_are_tried(strategy, clock):
    request, pods = request_of("a"), make_pods(2)
    strategy.pick(request, pods)
    target = strategy.pick(request, pods)
    assert strategy.tokens.of("a", clock.now) == 400.0
    strategy.observe(request, target, usage(1, 1))
    assert strategy.tokens.of("a", clock.now) == 3.0
    strategy.observe(request, target, usage(1, 1))
    assert strategy.tokens.of("a", clock.now) == 3.0


@pytest.mark.parametrize("user", [None, ""])
def test_nobody_goes_to_least_request(strategy, user):
    pods = make_pods(3)
    pods[0].in_flight = pods[1].in_flight = 1
    request = request_of(user)
    target = strategy.pick(request, pods)
    assert (target.pod, target.fallback) == (pods[2], "no_user")
    assert strategy.scores(request, pods) == [None] * 3
    assert strategy.chosen(request, pods[0]).pod is pods[0]
    strategy.observe(request, target, usage(5, 5))
    assert len(strategy.tokens) == 0


def test_an_old_user_is_forgotten(strategy, clock):
    strategy.pick(request_of("a"), make_pods(2))
    clock.now += 301
    assert strategy._share("a") == 0.0
    assert strategy.tokens.bounds(clock.now) is None


def test_what_other_gateways_charge_counts(strategy):
    pods = make_pods(2)
    strategy.pick(request_of("a", 1000), pods)
    assert strategy.tell() == {"a": 4000.0}
    strategy.hear({"a": 6000.0, "b": 2000.0})
    assert strategy._share("a") == 10_000 / 6000
    assert strategy._share("b") == 2000 / 6000
    assert strategy.tell() == {"a": 4000.0}
    strategy.hear({})
    assert strategy._share("a") == 1.0


def test_those_with_the_most_are_told(strategy, clock):
    for number in range(TOLD + 5):
        strategy.tokens.add(f"user-{number}", 1.0 + number, clock.now)
    told = strategy.tell()
    assert len(told) == TOLD
    assert min(told.values()) == 6.0
