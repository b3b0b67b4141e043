"""`prefix-cache`: sticky until saturated, and a home for new prompts."""

from collections import Counter
from random import Random

import pytest

from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.prefix_cache import PrefixCache, rendezvous
from tests.strategies.reports import NOW, clock
from tests.support import ask_for, info, make_pods


def prompt(number, blocks=10, tail=b"", **fields):
    """A completion whose prompt begins like no other number's."""
    text = b"%07d" % number + b"x" * (128 * blocks - 8) + tail
    extra = "".join(f', "{name}": {value}' for name, value in fields.items()).encode()
    return ask_for(b'{"model": "m", "prompt": "%b"%b}' % (text, extra))


@pytest.fixture
def strategy():
    return PrefixCache(Random(1), clock=clock())


def holder(strategy, pods, request):
    """Let the strategy choose, and return the pod that holds the prompt now."""
    return strategy.pick(request, pods).pod


def test_repeats_go_where_the_prefix_is(strategy):
    pods = make_pods(4)
    for number in range(50):
        first = strategy.pick(prompt(number), pods)
        assert first.match == 0.0
        again = strategy.pick(prompt(number, tail=b"and more" * 100), pods)
        assert again.pod is first.pod
        assert again.match == pytest.approx(10 / 16)


def test_replicas_that_never_talk_agree():
    pods = make_pods(8)
    one, other = (PrefixCache(Random(seed), clock=clock()) for seed in (1, 2))
    for number in range(50):
        assert one.pick(prompt(number), pods).pod is other.pick(prompt(number), pods[::-1]).pod


def test_the_longest_match_wins_and_the_least_loaded_of_equals(strategy):
    pods = make_pods(4)
    for pod, blocks in zip(pods, (2, 9, 9, 5), strict=True):
        strategy.chosen(prompt(1, blocks), pod)
    assert strategy.pick(prompt(1, 12), pods[:3:2]).pod is pods[2]
    strategy = PrefixCache(Random(1), clock=clock())
    strategy.chosen(prompt(1, 9), pods[1])
    strategy.chosen(prompt(1, 9), pods[2])
    pods[1].in_flight, pods[0].in_flight, pods[3].in_flight = 1, 1, 1
    assert strategy.pick(prompt(1, 12), pods).pod is pods[2]


def test_equal_holders_are_chosen_uniformly(strategy):
    pods = make_pods(3)
    strategy.chosen(prompt(1), pods[0])
    strategy.chosen(prompt(1), pods[2])
    counts = Counter(strategy.pick(prompt(1), pods).pod for _ in range(400))
    assert counts.keys() == {pods[0], pods[2]}
    assert min(counts.values()) > 150


def test_an_overloaded_holder_is_passed_over(strategy):
    """in_flight 0, 0, 0, 12: mean 3, deviation 5.196; with factor 2 the bound is 13.4, with factor 1 it is 8.2."""
    pods = make_pods(4)
    pods[3].in_flight = 12
    for factor, expected in ((2.0, True), (1.0, False)):
        strategy = PrefixCache(Random(1), {"deviationFactor": factor}, clock())
        strategy.chosen(prompt(1), pods[3])
        assert (strategy.pick(prompt(1), pods).pod is pods[3]) == expected


def test_the_gate(strategy):
    """A difference of 16 is let pass; beyond it the pods with the fewest decide, whatever they hold."""
    pods = make_pods(3)
    strategy.chosen(prompt(1), pods[0])
    pods[0].in_flight = 16
    assert strategy.pick(prompt(1), pods).pod is pods[0]
    pods[0].in_flight = 17
    assert {strategy.pick(prompt(1), pods).pod for _ in range(30)} == {pods[1], pods[2]}
    assert PrefixCache(options={"imbalance": 0}).imbalance == 0


@pytest.mark.parametrize(
    ("seconds", "expires", "passed_over"), [(0.01, NOW + 1, True), (0.001, NOW + 1, False), (0.01, NOW, False)]
)
def test_a_holder_that_would_be_long_busy_with_prompts_is_passed_over(strategy, seconds, expires, passed_over):
    """600 tokens to compute at 0.01 s each are 6 s, more than 5."""
    pods = make_pods(4)
    strategy.chosen(prompt(1, 200), pods[0])
    for pod in pods:
        pod.outstanding_uncached = 600
    pods[0].metrics = EngineMetrics(expires=expires, uncached_prefill_seconds=seconds)
    assert (strategy.pick(prompt(1, 200), pods).pod is not pods[0]) == passed_over


def test_the_only_candidate_learns_too(strategy):
    pods = make_pods(3)
    assert strategy.pick(prompt(1), pods[2:]).pod is pods[2]
    assert strategy.pick(prompt(1), pods).pod is pods[2]


def test_prompts_shorter_than_a_block_go_to_least_request(strategy):
    pods = make_pods(3)
    pods[0].in_flight = pods[1].in_flight = 1
    target = strategy.pick(ask_for(), pods)
    assert (target.pod, target.fallback, target.match) == (pods[2], "short_prompt", None)
    assert len(strategy.table) == 0
    assert strategy.scores(ask_for(), pods) == [None] * 3
    assert strategy.chosen(ask_for(), pods[1]).match is None


def test_other_models_adapters_and_tools_share_nothing(strategy):
    pods = [Pod(info(number, adapters=("lora",))) for number in (1, 2)]
    strategy.chosen(prompt(1), pods[0])
    same = prompt(1)
    assert strategy.scores(same, pods) == [0.0, 1.0]
    adapter, alias, other = prompt(1), prompt(1), prompt(1)
    adapter.requested_model, alias.requested_model, other.model = "lora", "m-alias", "n"
    assert strategy.scores(adapter, pods) == [1.0, 1.0]
    assert strategy.scores(alias, pods) == [0.0, 1.0]
    assert strategy.scores(other, pods) == [1.0, 1.0]
    assert strategy.scores(prompt(1, tools='[{"a": 1}]'), pods) == [1.0, 1.0]


def test_in_a_list_it_scores_by_match_and_learns_of_the_choice(strategy):
    pods = make_pods(2)
    assert strategy.chosen(prompt(1), pods[0]).match == 0.0
    assert strategy.scores(prompt(1, 20), pods) == pytest.approx([0.5, 1.0])
    assert strategy.chosen(prompt(1, 20), pods[1]).match == 0.0
    assert strategy.chosen(prompt(1, 20), pods[0]).match == 0.5


def test_a_pod_of_the_same_name_starts_empty(strategy):
    old, fresh = Pod(info(1)), Pod(info(1, uid="another"))
    strategy.chosen(prompt(1), old)
    assert strategy.scores(prompt(1), [old, fresh]) == [0.0, 1.0]
    strategy.forget(old)
    assert strategy.scores(prompt(1), [old, fresh]) == [1.0, 1.0]


def test_options():
    strategy = PrefixCache(options={"blockBytes": 256, "maxBlocks": 2}, clock=clock())
    assert len(strategy.blocks(prompt(1, 10), make_pods(1))) == 2
    assert len(strategy.blocks(prompt(1, 3), make_pods(1))) == 1


def test_a_scale_up_moves_only_its_share():
    pods = make_pods(9)
    before = [rendezvous(pods[:8], number, 5.0) for number in range(900)]
    after = [rendezvous(pods, number, 5.0) for number in range(900)]
    moved = [new for old, new in zip(before, after, strict=True) if old is not new]
    assert set(moved) == {pods[8]}
    assert 70 < len(moved) < 130


def test_new_prompts_go_to_no_pod_above_the_bound():
    pods = make_pods(4)
    home = rendezvous(pods, 1, 10.0)
    home.in_flight = 11
    assert rendezvous(pods, 1, 10.0) is not home
    assert rendezvous(pods, 1, 11.0) is home


def test_where_prompts_share_nothing_the_load_is_as_even_as_by_least_request(strategy):
    pods = make_pods(8)
    under_way, worst = [], 0
    for number in range(1200):
        pod = strategy.pick(prompt(number), pods).pod
        pod.in_flight += 1
        under_way.append(pod)
        if len(under_way) > 64:
            under_way.pop(0).in_flight -= 1
        if number > 400:
            worst = max(worst, max(pod.in_flight for pod in pods))
    assert worst <= 11  # 8 on average


def test_what_one_models_prompts_share_says_nothing_of_another_ones(strategy):
    pods = make_pods(8)
    for number in range(300):
        strategy.pick(prompt(number), pods)
    other = PrefixCache(Random(2), clock=clock())
    for number in range(20):
        request = prompt(number)
        request.model = "n"
        assert strategy.pick(request, pods).pod is other.pick(request, pods).pod
