"""A conversation stays on its pod."""

from collections import Counter
from hashlib import blake2b
from random import Random

import pytest
import xxhash

from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.session_affinity import PUBLIC_KEY, SessionAffinity, session_id
from tests.support import ask_for, info, make_pods


def pick(pods, strategy=None, **headers):
    return (strategy or SessionAffinity(Random(1))).pick(ask_for(**headers), pods)


def id_of(target):
    ((name, value),) = target.headers
    assert name == b"x-session-id"
    return value


def test_the_digest():
    assert session_id("uid-1", b"key") == blake2b(b"uid-1", digest_size=16, key=b"key").hexdigest().encode()
    assert session_id("uid-1", b"key") == b"c523269cbf489e4584dfe0940cbfa16d"
    assert session_id("uid-1", PUBLIC_KEY) == b"f8ba7972c52755f80ecdf3cf48ecd1b8"  # a new version must not change it


def test_the_answer_names_the_session_which_names_the_pod():
    pods = make_pods(8)
    for _ in range(20):
        first = pick(pods)
        pods[0].in_flight += 1
        assert pick(pods, x_session_id=id_of(first)).pod is first.pod


def test_the_session_wins_over_load_and_key():
    pods = make_pods(4)
    target = pick(pods, x_aibrix_session_key=b"k")
    other = next(pod for pod in pods if pod is not target.pod)
    other.in_flight = 100
    assert pick(pods, x_aibrix_session_key=b"k", x_session_id=session_id(other.uid, PUBLIC_KEY)).pod is other


@pytest.mark.parametrize("session", [b"10.0.0.1:8000", b"pod-1", b"uid-1", b"0" * 32, b""])
def test_an_id_can_name_nothing_but_a_candidate(session):
    pods = make_pods(3)
    pods[0].in_flight = pods[1].in_flight = 5
    assert pick(pods, x_session_id=session).pod is pods[2]


def test_a_pod_that_has_left():
    pods = make_pods(3)
    gone = session_id("uid-1", PUBLIC_KEY)
    pods[1].in_flight = 5
    target = pick(pods[1:], x_session_id=gone)
    assert target.pod is pods[2]
    assert id_of(target) != gone


def test_keys_choose_by_rendezvous():
    pods = make_pods(5)
    for number in range(50):
        key = b"conversation-%d" % number
        best = max(pods, key=lambda pod: xxhash.xxh64_intdigest(key + b"\0" + pod.uid.encode()))
        assert pick(pods, x_aibrix_session_key=key).pod is best


def test_a_scale_up_moves_only_its_share():
    pods = make_pods(9)
    keys = [b"conversation-%d" % number for number in range(900)]
    before = [pick(pods[:8], x_aibrix_session_key=key).pod for key in keys]
    after = [pick(pods, x_aibrix_session_key=key).pod for key in keys]
    moved = [new for old, new in zip(before, after, strict=True) if old is not new]
    assert set(moved) == {pods[8]}
    assert 70 < len(moved) < 130
    assert max(Counter(before).values()) < 2 * 900 / 8


def test_the_order_of_pods_does_not_matter():
    pods = make_pods(5)
    assert pick(pods, x_aibrix_session_key=b"k").pod is pick(pods[::-1], x_aibrix_session_key=b"k").pod


@pytest.mark.parametrize(("key", "used"), [(b"", False), (b"k" * 256, True), (b"k" * 257, False)])
def test_a_key_has_1_to_256_bytes(key, used):
    pods = make_pods(4)
    winner = max(pods, key=lambda pod: xxhash.xxh64_intdigest(key + b"\0" + pod.uid.encode()))
    winner.in_flight = 10
    assert (pick(pods, x_aibrix_session_key=key).pod is winner) == used


def test_without_either_least_request_decides():
    pods = make_pods(3)
    pods[0].in_flight = pods[2].in_flight = 1
    assert pick(pods).pod is pods[1]


def test_replicas_with_one_key_agree():
    options = {"sessionKey": b"secret"}
    pod = Pod(info(3))
    one, two = (SessionAffinity(Random(seed), options) for seed in (1, 2))
    assert id_of(pick([pod], one)) == id_of(pick([pod], two)) == session_id("uid-3", b"secret")
    assert id_of(pick([pod], one)) != id_of(pick([pod]))


def test_in_a_list_it_is_one_or_nothing():
    pods = make_pods(3)
    session = session_id("uid-2", PUBLIC_KEY)
    assert SessionAffinity().scores(ask_for(x_session_id=session), pods) == [1.0, 0.0, 1.0]
    assert SessionAffinity().scores(ask_for(), pods) == [1.0, 1.0, 1.0]
