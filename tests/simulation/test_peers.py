from collections import Counter
from random import Random

import msgspec
import pytest

from aibrix_mw.outcome import Outcome
from aibrix_mw.simulation.peers import CacheAware, KVCost
from tests.support import ask_for, make_pods

DONE = Outcome(name="ok", status=200)


def prompt(*parts):
    return ask_for(msgspec.json.encode({"model": "m", "prompt": "".join(part * 256 for part in parts)}))


class Events:
    """What engines hold, by uid: so many leading blocks of every prompt."""

    def __init__(self, blocks=10, **held):
        self.prompt = tuple(range(blocks))
        self.held = held

    def blocks(self):
        return self.prompt

    def cached(self, uid):
        return self.held.get(uid.replace("-", "_"), 0)


class TestCacheAware:
    def test_a_match_of_more_than_half_decides(self):
        policy, pods = CacheAware(Random(1)), make_pods(4)
        first = policy.pick(prompt("a", "b", "c"), pods).pod
        first.in_flight = 20
        assert policy.pick(prompt("a", "b", "d"), pods).pod is first
        assert policy.pick(prompt("a", "d", "e"), pods).pod is not first  # a third

    def test_out_of_balance_the_shortest_queue_decides(self):
        policy, pods = CacheAware(Random(1)), make_pods(2)
        first = policy.pick(prompt("a"), pods).pod
        first.in_flight = 32
        assert policy.pick(prompt("a"), pods).pod is first
        first.in_flight = 33
        assert policy.pick(prompt("a"), pods).pod is not first

    def test_a_small_relative_difference_is_balance(self):
        policy, pods = CacheAware(Random(1), {"relative": 1.1}), make_pods(2)
        first = policy.pick(prompt("a"), pods).pod
        for pod in pods:
            pod.in_flight = 1000
        first.in_flight = 1090
        assert policy.pick(prompt("a"), pods).pod is first
        first.in_flight = 1110
        assert policy.pick(prompt("a"), pods).pod is not first

    def test_a_pod_that_has_left_is_no_match(self):
        policy, pods = CacheAware(Random(1)), make_pods(2)
        first = policy.pick(prompt("a"), pods).pod
        (other,) = [pod for pod in pods if pod is not first]
        assert policy.pick(prompt("a"), [other]).pod is other


class TestKVCost:
    def test_costs_are_blocks_to_prefill_and_blocks_in_use(self):
        pods = make_pods(2)
        policy = KVCost(Random(1), {"insight": Events(uid_1=6)})
        first, second = ask_for(), ask_for()
        assert policy.pick(first, pods).pod is pods[0]  # 4 + 10 against 10 + 10
        assert policy.pick(second, pods).pod is pods[0]  # its blocks are in use there already: the same costs
        policy.insight = Events(uid_2=5)
        policy.insight.prompt = tuple(range(100, 110))
        assert policy.pick(ask_for(), pods).pod is pods[1]  # 10 + 20 against 5 + 10

    def test_the_weight_decides_what_prefill_counts(self):
        pods, insight = make_pods(2), Events(uid_1=6)
        policy = KVCost(Random(1), {"insight": insight, "weight": 0.0})
        assert {policy.pick(ask_for(), pods).pod for _ in range(2)} <= set(pods)
        policy = KVCost(Random(1), {"insight": insight, "weight": 0.0})
        assert (
            Counter(
                KVCost(Random(n), {"insight": insight, "weight": 0.0}).pick(ask_for(), pods).pod for n in range(50)
            )[pods[1]]
            > 10
        )

    def test_what_has_ended_is_in_use_no_more(self):
        pods = make_pods(2)
        policy = KVCost(Random(1), {"insight": Events()})
        request = ask_for()
        target = policy.pick(request, pods)
        policy.observe(request, target, DONE)
        policy.insight = Events()
        assert policy._cost(target.pod.uid, policy.insight.prompt) == 20.0

    def test_it_needs_events(self):
        with pytest.raises(KeyError):
            KVCost()
