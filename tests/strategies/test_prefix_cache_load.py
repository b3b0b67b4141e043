"""`prefix-cache`: what a match is worth against load, and what becomes of prompts that share nothing."""

from random import Random

import pytest

from aibrix_mw.strategies.prefix_cache import NOTHING_SHARED, PrefixCache, soonest
from tests.strategies.reports import clock
from tests.strategies.test_prefix_cache import prompt
from tests.support import make_pods


@pytest.fixture
def strategy():
    return PrefixCache(Random(1), clock=clock())


@pytest.mark.parametrize(
    ("blocks", "in_flight", "chosen"), [(10, 11, True), (6, 8, False), (6, 2, True), (10, 2, True)]
)
def test_a_smaller_match_excuses_less_load(strategy, blocks, in_flight, chosen):
    """One pod with 11, 8 or 2 requests beside one idle and two with 2.

    11: mean 3.75, deviation 4.26, bound with a full match 12.3. 8: mean 3, deviation 3, bound with 6 of 10 blocks 6.6.
    2: mean 1.5, deviation 0.87, bounds 2.5 and 3.2.
    """
    pods = make_pods(4)
    strategy.chosen(prompt(1, blocks), pods[3])
    for pod, count in zip(pods, (0, 2, 2, in_flight), strict=True):
        pod.in_flight = count
    assert (strategy.pick(prompt(1, 10), pods).pod is pods[3]) == chosen


@pytest.mark.parametrize(("queued", "chosen"), [(160, True), (161, False)])
def test_waiting_for_a_holder_costs_less_than_it_saves(strategy, queued, chosen):
    """A prompt of 10 blocks, quotes included 321 tokens, all of them held: half of them may wait in front."""
    pods = make_pods(4)
    request = prompt(1, 10, tail=b"")
    assert request.prompt_tokens == 321
    strategy.chosen(request, pods[0])
    for pod in pods[1:]:
        pod.outstanding_uncached = 100  # the shortest queue is what counts, not its absence
    pods[0].outstanding_uncached = 100 + queued
    assert (strategy.pick(request, pods).pod is pods[0]) == chosen


def test_of_equal_holders_the_one_with_the_shorter_queue(strategy):
    pods = make_pods(3)
    for pod in pods[:2]:
        strategy.chosen(prompt(1), pod)
    pods[0].outstanding_uncached = 10
    assert {strategy.pick(prompt(1), pods).pod for _ in range(20)} == {pods[1]}


def test_soonest():
    """At most 1.25 x (1 + 1) requests: 2 are near enough. Then the shorter queue decides, then fewer requests."""
    pods = make_pods(5)
    for pod, in_flight, queue in zip(pods, (3, 1, 2, 1, 2), (0, 9, 3, 3, 3), strict=True):
        pod.in_flight, pod.outstanding_uncached = in_flight, queue
    assert {soonest(pods, Random(seed)) for seed in range(20)} == {pods[3]}
    pods[3].in_flight = 2
    assert {soonest(pods, Random(seed)) for seed in range(20)} == {pods[2], pods[3], pods[4]}


def test_new_prompts_find_a_home_where_prompts_share(strategy):
    """The home may have up to 1.25 x (mean + 1) requests while the prompts of late had matches."""
    pods, other = make_pods(8), PrefixCache(Random(2), clock=clock())
    for _ in range(200):
        strategy.pick(prompt(1), pods)
        other.pick(prompt(1), pods)
    for number, pod in enumerate(pods):
        pod.in_flight = 8 + number % 2
    homes = [strategy.pick(prompt(number), pods).pod for number in range(100, 112)]
    assert homes == [other.pick(prompt(number), pods).pod for number in range(100, 112)]
    assert {home.in_flight for home in homes} == {8, 9}


def test_new_prompts_go_by_load_alone_where_none_share(strategy):
    """After n prompts without a match the share is 0.98^n; below 0.1 from the 114th on."""
    pods = make_pods(8)
    for number in range(114):
        strategy.pick(prompt(number), pods)
    assert 0.98**114 < NOTHING_SHARED < 0.98**113
    for pod in pods[:-1]:
        pod.in_flight = 1
    assert {strategy.pick(prompt(number), pods).pod for number in range(200, 230)} == {pods[-1]}


def test_in_between_the_bound_is_in_between(strategy):
    """Half of the way: in_flight 0 and seven times 8 are a mean of 7, the bound is 10 and half of it lets 8 out."""
    pods = make_pods(8)
    for number in range(35):  # 0.98^36 = 0.483 at the pick below
        strategy.pick(prompt(number), pods)
    for pod in pods[1:]:
        pod.in_flight = 8
    assert {strategy.pick(prompt(number), pods).pod for number in range(100, 110)} == {pods[0]}
    fresh = PrefixCache(Random(1), clock=clock())
    assert len({fresh.pick(prompt(number), pods).pod for number in range(100, 110)}) > 3
