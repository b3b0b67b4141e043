"""The choice of a pair, of one pod where there is none, and of what follows a failure."""

import json
from random import Random

import pytest

from aibrix_mw.errors import PairUnavailable
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.pod import Pod, Target
from aibrix_mw.strategies.base import Failure
from aibrix_mw.strategies.pd import Pd
from tests.legs import leg
from tests.support import Clock, ask_for

LONG = b'{"model": "m", "prompt": "%b"}' % (b"abcdefgh" * 128)  # 1026 bytes, 257 tokens
OTHER = b'{"model": "m", "prompt": "%b"}' % (b"ijklmnop" * 128)


def two_rolesets():
    infos = [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill", "b"), leg(4, "decode", "b")]
    return tuple(Pod(info) for info in infos)


def pd(**options):
    return Pd(Random(1), options, Clock())


def bucket(low=None, high=None, combined=False):
    options = {"promptLenBucketMinLength": low, "promptLenBucketMaxLength": high, "combined": combined}
    return json.dumps({"profiles": {"default": {"routingConfig": options}}})


def test_both_legs_are_of_one_roleset():
    pods, strategy = two_rolesets(), pd()
    for _ in range(50):
        target = strategy.pick(ask_for(), pods)
        assert (target.prefill, target.pod) in {(pods[0], pods[1]), (pods[2], pods[3])}
        assert target.headers == ()
        assert target.alone is None


def test_prompts_follow_their_prefix():
    pods, strategy = two_rolesets(), pd()
    first = strategy.pick(ask_for(LONG), pods)
    assert first.match == 0.0
    for _ in range(20):
        again = strategy.pick(ask_for(LONG), pods)
        assert again.prefill is first.prefill
        assert again.match == 1.0
    strategy.forget(first.prefill)
    assert strategy.pick(ask_for(LONG), pods).match == 0.0


def test_short_prompts_have_no_match():
    assert pd().pick(ask_for(), two_rolesets()).match is None


def test_policies_by_requests_alone():
    pods = two_rolesets()
    strategy = pd(prefillScorePolicy="least_request", decodeScorePolicy="least_request")
    home = strategy.pick(ask_for(LONG), pods)
    home.prefill.in_flight = 1
    for pod in pods:
        pod.metrics = EngineMetrics(expires=2000.0, generation_tokens_rate=1.0, kv_cache_usage=0.9)
    target = strategy.pick(ask_for(LONG), pods)
    assert target.prefill is not home.prefill
    assert (target.match, target.fallback) == (None, None)


def test_engines_that_do_not_tell_are_counted():
    assert pd().pick(ask_for(), two_rolesets()).fallback == "no_data"


def test_the_imbalanced_prefill_pod_decides_the_roleset():
    pods, strategy = two_rolesets(), pd()
    home = strategy.pick(ask_for(LONG), pods).prefill
    home.in_flight = 17
    assert strategy.pick(ask_for(LONG), pods).prefill is not home
    assert pd(imbalance=20).pick(ask_for(OTHER), pods).prefill is not home


def test_the_imbalanced_decode_pod_decides_too():
    pods, strategy = two_rolesets(), pd()
    home = strategy.pick(ask_for(LONG), pods)
    home.pod.in_flight = 16
    assert strategy.pick(ask_for(LONG), pods).pod is not home.pod


def test_a_roleset_left_without_a_prefill_pod_by_its_load():
    infos = [leg(n, "prefill", f"r{n}") for n in range(1, 7)] + [leg(n + 10, "decode", f"r{n}") for n in range(1, 7)]
    pods = tuple(Pod(info) for info in infos)
    pods[5].in_flight = 9
    strategy = pd()
    assert {strategy.pick(ask_for(), pods).prefill for _ in range(100)} == set(pods[:5])


@pytest.mark.parametrize(
    ("infos", "reason"),
    [
        ([leg(1, "prefill")], "incomplete"),
        ([leg(1, "prefill"), leg(2, "decode", engine="sglang")], "incomplete"),
        ([leg(1, "prefill", engine="sglang", config=bucket(high=9)), leg(2, "decode", engine="sglang")], "bucket"),
    ],
)
def test_nobody_can_serve_it(infos, reason):
    with pytest.raises(PairUnavailable) as refused:
        pd().pick(ask_for(LONG), tuple(map(Pod, infos)))
    assert refused.value.reason == reason
    assert refused.value.status == 503


def test_refuse():
    pods = tuple(map(Pod, [leg(1, "decode"), leg(2, None)]))
    with pytest.raises(PairUnavailable):
        pd(fallback="refuse").pick(ask_for(), pods)
    assert pd().pick(ask_for(), pods).headers == ((b"x-aibrix-pd", b"fallback"),)


@pytest.mark.parametrize(("body", "chosen"), [(LONG, 4), (b'{"model": "m", "prompt": "hi"}', 2)])
def test_buckets(body, chosen):
    infos = [leg(1, "prefill", config=bucket(high=256)), leg(2, "decode", config=bucket(high=256))]
    infos += [leg(3, "prefill", "b", config=bucket(257, 257)), leg(4, "decode", "b", config=bucket(257))]
    for _ in range(10):
        target = pd(profile="default").pick(ask_for(body), tuple(map(Pod, infos)))
        assert target.pod.uid == f"uid-{chosen}"
        assert target.prefill is not None


def test_one_leg_in_another_bucket():
    infos = [leg(1, "prefill", config=bucket(high=9)), leg(2, "decode")]
    target = pd().pick(ask_for(LONG), tuple(map(Pod, infos)))
    assert (target.pod.uid, target.alone) == ("uid-2", "bucket")


def test_combined_pods_take_what_fits_no_roleset():
    infos = [leg(1, "prefill", config=bucket(high=9)), leg(2, "decode"), leg(3, None, config=bucket(combined=True))]
    infos.append(leg(4, None, config=bucket(0, 9, combined=True)))
    pods = tuple(map(Pod, infos))
    target = pd().pick(ask_for(LONG), pods)
    assert (target.pod.uid, target.prefill, target.alone, target.headers) == ("uid-3", None, None, ())
    assert pd().pick(ask_for(b'{"model": "m", "prompt": "hi"}'), pods).prefill is not None
    refusing = pd(fallback="refuse")
    assert refusing.pick(ask_for(LONG), pods).pod.uid == "uid-3"
    # the only combined pod is not meant for it: the fallback takes it all the same
    assert pd().pick(ask_for(LONG), (pods[0], pods[3])).pod.uid == "uid-4"


def test_other_paths():
    pods = (*two_rolesets(), Pod(leg(5, None, config=bucket(combined=True))), Pod(leg(6, None)))
    chosen = {pd().pick(ask_for(path="/v1/embeddings"), pods).pod.uid for _ in range(1)}
    strategy = pd()
    chosen = {strategy.pick(ask_for(path="/v1/embeddings"), pods).pod.uid for _ in range(100)}
    assert chosen == {"uid-2", "uid-4", "uid-5", "uid-6"}
    with pytest.raises(PairUnavailable):
        strategy.pick(ask_for(path="/v1/embeddings"), pods[:1])


def test_what_is_known_of_the_same_pods_is_kept():
    pods, strategy = two_rolesets(), pd()
    strategy.pick(ask_for(), pods)
    (kept,) = strategy._formations.values()
    strategy.pick(ask_for(), pods)
    assert list(strategy._formations.values()) == [kept]
    strategy.pick(ask_for(), (*pods[:2],))
    assert list(strategy._formations.values()) != [kept]
    for number in range(300):
        strategy.pick(ask_for(b'{"model": "m%d"}' % number), pods)
    assert len(strategy._formations) <= 256


# --- after failures


def failing(prefill=None, pod=None, *, leg_failed=True, **more):
    return Failure(Target(pod, prefill=prefill), prefill=leg_failed, **more)


def test_another_prefill_then_another_roleset_then_nobody():
    pods = (*two_rolesets(), Pod(leg(5, "prefill")), Pod(leg(6, "prefill", "b")))
    p1, d1, p2, d2, p3, p4 = pods
    strategy = pd()
    first = failing(p1, d1)
    target = strategy.again(ask_for(), pods, [first])
    assert (target.prefill, target.pod) == (p3, d1)
    target = strategy.again(ask_for(), pods, [first, failing(p3, d1)])
    assert target.prefill in {p2, p4}
    assert target.pod is d2
    assert strategy.again(ask_for(), pods, [first, failing(p3, d1), failing(p2, d2)]) is None
    # where the roleset has no other, another roleset comes at once, and then nobody
    assert strategy.again(ask_for(), pods[:4], [first]).prefill is p2
    assert strategy.again(ask_for(), pods[:4], [first, failing(p2, d2)]) is None


def test_elsewhere_after_a_failed_decode():
    p1, d1, p2, d2 = pods = two_rolesets()
    strategy = pd()
    failure = failing(p1, d1, leg_failed=False)
    target = strategy.again(ask_for(), pods, [failure])
    assert (target.prefill, target.pod) == (p2, d2)
    d3, p3 = Pod(leg(5, "decode")), Pod(leg(6, "prefill"))
    assert strategy.again(ask_for(), (p1, d1, d3), [failure]).pod is d3  # the prefill pod is not to blame
    assert strategy.again(ask_for(), (p1, d1, p3), [failure]) is None
    alive = failing(p1, d1, leg_failed=False, alive=True)
    assert strategy.again(ask_for(), (p1, d1, p3), [alive]).pod is d1


def test_the_fallback_avoids_who_has_failed():
    p1, d1, _p2, d2 = pods = two_rolesets()
    strategy = pd()
    failure = failing(p1, d1, leg_failed=False)
    target = strategy.alone(ask_for(), pods, [failure])
    assert (target.pod, target.alone) == (d2, "decode_failed")
    assert strategy.alone(ask_for(), (p1, d1), [failure]).pod is d1  # there is nobody else
    assert strategy.alone(ask_for(), pods, [failing(p1, d1)]).alone == "prefill_failed"
    assert strategy.alone(ask_for(), pods, [failing(p1, d1, anywhere=True)]).alone == "nothing_to_transfer"
    assert pd(fallback="refuse").alone(ask_for(), pods, [failure]) is None


def test_after_a_pod_that_was_to_serve_alone():
    p1, d1, _, d2 = pods = two_rolesets()
    strategy = pd()
    failure = Failure(Target(d1, alone="prefill_failed"))
    target = strategy.again(ask_for(), pods, [failure])
    assert (target.pod, target.alone) == (d2, "prefill_failed")
    assert strategy.again(ask_for(), (p1, d1), [failure]).pod is d1
    assert strategy.again(ask_for(), (p1, d1, d2), [failure, Failure(Target(d2))]) is None
    embedding = ask_for(path="/v1/embeddings")
    target = strategy.again(embedding, pods, [Failure(Target(d1))])
    assert (target.pod, target.alone) == (d2, None)
