"""A pod that has just turned Ready gets its share bit by bit."""

from collections import Counter
from random import Random

import pytest

from aibrix_mw.pods.admission import Admission
from aibrix_mw.pods.ejection import Ejection
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.slow_start import BURST, SlowStart
from aibrix_mw.strategies.catalogue import Catalogue
from tests.support import Clock, ask_for, info, make_pods


def share_of(new, pods, slow_start, clock, strategy, seconds, rate=100):
    """How many of the requests of some seconds a pod gets; each is in flight for a second."""
    counts, under_way = Counter(), []
    for _ in range(int(seconds * rate)):
        clock.now += 1.0 / rate
        while under_way and under_way[0][0] <= clock.now:
            under_way.pop(0)[1].in_flight -= 1
        pod = strategy.pick(ask_for(), slow_start.admit(pods)).pod
        slow_start.placed(pod)
        pod.in_flight += 1
        under_way.append((clock.now + 1.0, pod))
        counts[pod] += 1
    return counts[new] / sum(counts.values())


@pytest.mark.parametrize("name", ["random", "least-request", "power-of-two"])
def test_the_ramp(name):
    """F33: at most 15 % in the first second; at most 1/n in every 5 s of the first 30 s."""
    clock, pods = Clock(0.0), make_pods(5)
    slow_start = SlowStart({pods[4]: 0.0}, 30.0, clock)
    strategy = Catalogue(rng=Random(1)).get(name)
    for pod in pods[:4]:
        pod.in_flight = 0
    assert share_of(pods[4], pods, slow_start, clock, strategy, 1) <= 0.15
    shares = [share_of(pods[4], pods, slow_start, clock, strategy, 5) for _ in range(5)]
    assert all(share <= 0.2 + BURST / 500 for share in shares)
    assert shares[0] < 0.1
    assert shares[-1] > shares[0]


def test_afterwards_it_is_a_pod_like_any_other():
    clock, pods = Clock(0.0), make_pods(3)
    risen = {pods[2]: 0.0}
    slow_start = SlowStart(risen, 30.0, clock)
    assert pods[2] not in slow_start.admit(pods)
    clock.now = 30.0
    assert list(slow_start.admit(pods)) == pods
    assert risen == {}
    assert slow_start.admit(pods) is pods


def test_its_share_by_weights():
    """10 % of 5 pods: a ticket after 41 choices, since 0.1 / 4.1 = 1 / 41."""
    clock, pods = Clock(0.0), make_pods(5)
    slow_start = SlowStart({pods[4]: 0.0}, 30.0, clock)
    offered = [pods[4] in slow_start.admit(pods) for _ in range(45)]
    assert offered.index(True) in {40, 41}
    slow_start.placed(pods[4])
    assert pods[4] not in slow_start.admit(pods)
    slow_start.placed(pods[0])


def test_tickets_do_not_pile_up():
    clock, pods = Clock(29.0), make_pods(2)
    slow_start = SlowStart({pods[1]: 0.0}, 30.0, clock)
    for _ in range(100):
        slow_start.admit(pods)
    taken = 0
    while pods[1] in slow_start.admit(pods):
        slow_start.placed(pods[1])
        taken += 1
        assert taken < 6
    assert taken >= BURST


def test_when_all_are_new_none_is_held_back():
    pods = make_pods(3)
    slow_start = SlowStart(dict.fromkeys(pods, 0.0), 30.0, Clock(1.0))
    assert slow_start.admit(pods) is pods


def test_new_pods_of_other_models_change_nothing():
    pods = make_pods(4)
    assert SlowStart({pods[3]: 0.0}, 30.0, Clock(1.0)).admit(pods[:3]) == pods[:3]


# --- with the registry


@pytest.fixture
def clock():
    return Clock(0.0)


@pytest.fixture
def registry(clock):
    return PodRegistry(clock=clock)


def test_pods_of_the_first_list_are_warm(registry):
    registry.put("k", info(1))
    registry.replace("k", [info(1), info(2)])
    assert registry.risen == {}


def test_pods_that_turn_ready_later_are_not(registry, clock):
    registry.replace("k", [info(1), info(2, excluded="not_ready")])
    clock.now = 5.0
    registry.put("k", info(2))
    registry.replace("k", [info(1), info(2), info(3)])
    assert {pod.uid: since for pod, since in registry.risen.items()} == {"uid-2": 5.0, "uid-3": 5.0}
    clock.now = 6.0
    registry.put("k", info(2, labels={"a": "b"}))
    assert {pod.uid: since for pod, since in registry.risen.items()} == {"uid-2": 5.0, "uid-3": 5.0}
    registry.put("k", info(2, excluded="not_ready"))
    registry.remove("k", "uid-3")
    assert registry.risen == {}


def test_admission_does_both_and_forgets(registry, clock):
    registry.replace("k", [info(number) for number in range(1, 5)])
    admission = Admission(registry, Ejection(clock=clock))
    first, *_ = pods = registry.serving("m")
    for _ in range(5):
        admission.failed(first, admission.placed(first))
    registry.put("k", info(5))
    assert list(admission.admit(registry.serving("m"))) == list(pods[1:])
    assert admission.admit([first]) == [first]
    registry.remove("k", first.uid)
    registry.remove("k", "uid-5")
    assert admission.ejection.ejected() == []
    assert registry.risen == {}
