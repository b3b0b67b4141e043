"""`prefix-cache-preble`: exploits long matches, else explores by cost; tokens are bytes / 4, quotes included."""

from random import Random

import pytest

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.strategies.prefix_cache_preble import WINDOW, PrefixCachePreble
from tests.strategies.reports import NOW
from tests.strategies.test_prefix_cache import prompt
from tests.support import Clock, ask_for, make_pods


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def strategy(clock):
    return PrefixCachePreble(Random(1), clock=clock)


def test_more_than_half_matched_goes_to_a_holder_with_the_least_work(strategy):
    pods = make_pods(3)
    strategy.chosen(prompt(1, 10), pods[0])
    strategy.chosen(prompt(1, 10), pods[1])
    strategy.chosen(prompt(2, 40), pods[1])
    assert strategy.pick(prompt(1, 19), pods).pod is pods[0]


def test_half_or_less_goes_where_it_costs_least(strategy):
    """320 tokens matched of 640: pod 1 has 320 computed and 320 to compute; pod 2 nothing and 640 to compute."""
    pods = make_pods(2)
    strategy.chosen(prompt(1, 10), pods[0])
    request = prompt(1, 20)
    assert strategy.scores(request, pods) == pytest.approx([640.0, 640.0], rel=0.01)
    strategy.chosen(prompt(3, 10), pods[0])
    assert strategy.pick(request, pods).pod is pods[1]


def test_costs_are_seconds_where_engines_tell(strategy):
    """Pod 1: 0.002 x (320 + 320) + 100 generated x 0.01; an engine that is silent is taken for an average one."""
    pods = make_pods(2)
    pods[0].metrics = EngineMetrics(
        expires=NOW + 3, uncached_prefill_seconds=0.002, decode_seconds=0.01, generation_tokens=100.0
    )
    strategy.chosen(prompt(1, 10), pods[0])
    costs = strategy.scores(prompt(1, 20), pods)
    assert costs == pytest.approx([0.002 * 640 + 1.0, 0.002 * 640], rel=0.01)
    pods[0].metrics = EngineMetrics(expires=NOW, uncached_prefill_seconds=0.002, decode_seconds=0.01)
    assert strategy.scores(prompt(1, 20), pods) == pytest.approx([640.0 + 100.0, 640.0], rel=0.01)


def test_what_is_evicted_may_be_asked_for_again(strategy):
    """Half of the pod's prompt tokens were found in its cache: each token that is evicted costs half a token more."""
    (pod,) = pods = make_pods(1)
    for _ in range(2):
        strategy.chosen(prompt(1, 10), pod)
    assert strategy.scores(prompt(2, 10), pods) == pytest.approx([320 + 320 * 1.5], rel=0.01)


def test_the_answer_is_work_too(strategy):
    pods = make_pods(2)
    strategy.chosen(prompt(1, 10, max_tokens=500), pods[0])
    strategy.chosen(prompt(2, 10, max_tokens=1), pods[1])
    first, second = strategy.scores(prompt(3, 10), pods)
    assert first - second == pytest.approx(499.0)


def test_old_work_is_forgotten(strategy, clock):
    pods = make_pods(1)
    strategy.chosen(prompt(1, 10), pods[0])
    clock.now += WINDOW + 1
    assert strategy.scores(prompt(2, 10), pods) == pytest.approx([320.0], rel=0.01)


def test_the_gate_and_short_prompts(strategy):
    pods = make_pods(2)
    strategy.chosen(prompt(1), pods[0])
    pods[0].in_flight = 17
    assert strategy.pick(prompt(1), pods).pod is pods[1]
    assert strategy.pick(ask_for(), pods).fallback == "short_prompt"
    assert strategy.scores(ask_for(), pods) == [None, None]


def test_prompts_without_anything_in_common_are_spread(strategy):
    pods = make_pods(4)
    for number in range(40):
        strategy.pick(prompt(number), pods).pod.in_flight += 1
    assert [pod.in_flight for pod in pods] == [10] * 4
