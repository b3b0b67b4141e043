"""F26 to F31: a pod that fails again and again is left out, then tried with one request."""

from random import Random

import pytest

from aibrix_mw.pods.ejection import Ejection
from tests.support import Clock, make_pods


@pytest.fixture
def clock():
    return Clock(0.0)


@pytest.fixture
def ejection(clock):
    return Ejection(clock=clock)


def fail(ejection, pod, pods, times=5):
    for _ in range(times):
        ejection.failed(pod, ejection.placed(pod), pods)


def test_failures_in_a_row(ejection):
    """F26, F27: after 5 failures the pod is none of 1000 choices."""
    pods = make_pods(4)
    fail(ejection, pods[0], pods, 4)
    assert ejection.admit(pods) is pods or list(ejection.admit(pods)) == pods
    fail(ejection, pods[0], pods, 1)
    rng = Random(1)
    assert pods[0] not in [rng.choice(ejection.admit(pods)) for _ in range(1000)]
    assert ejection.ejected() == [pods[0]]


def test_one_success_starts_anew(ejection):
    pods = make_pods(4)
    for _ in range(20):
        fail(ejection, pods[0], pods, 4)
        ejection.succeeded(pods[0], ejection.placed(pods[0]))
    assert not ejection.ejected()


def test_exactly_one_probe(ejection, clock):
    """F26: at 30 s one request goes to the pod, and no other before that one has ended."""
    pods = make_pods(4)
    fail(ejection, pods[0], pods)
    clock.now = 29.9
    assert pods[0] not in ejection.admit(pods)
    clock.now = 30.0
    rng, chosen = Random(1), []
    for _ in range(1000):
        pod = rng.choice(ejection.admit(pods))
        chosen.append(pod)
        ejection.placed(pod)
    assert chosen.count(pods[0]) == 1


def test_the_wait_doubles_up_to_the_cap(ejection, clock):
    """F29: 30, 60, 120, 240, 300, 300 s."""
    pods = make_pods(4)
    fail(ejection, pods[0], pods)
    waits = []
    for _ in range(6):
        since = clock.now
        while pods[0] not in ejection.admit(pods):
            clock.now += 1.0
        waits.append(clock.now - since)
        ejection.failed(pods[0], ejection.placed(pods[0]), pods)
    assert waits == [30, 60, 120, 240, 300, 300]


def test_a_probe_that_succeeds_ends_it(ejection, clock):
    pods = make_pods(4)
    fail(ejection, pods[0], pods)
    clock.now = 31.0
    ejection.succeeded(pods[0], ejection.placed(pods[0]))
    assert list(ejection.admit(pods)) == pods
    assert not ejection.on_trial(pods[0])
    fail(ejection, pods[0], pods)
    clock.now = 31.0 + 30.0
    assert pods[0] in ejection.admit(pods)  # and the next ejection is a first one again


def test_a_probe_whose_client_leaves_makes_way_for_another(ejection, clock):
    pods = make_pods(4)
    fail(ejection, pods[0], pods)
    clock.now = 31.0
    probe = ejection.placed(pods[0])
    assert pods[0] not in ejection.admit(pods)
    ejection.abandoned(pods[0], probe)
    assert pods[0] in ejection.admit(pods)
    ejection.abandoned(pods[1], probe)  # a pod that nobody watches


def test_at_most_the_share(ejection):
    """F28: of 5 bad pods out of 8, 4 are ejected; the fifth stays in."""
    pods = make_pods(8)
    for pod in pods[:5]:
        fail(ejection, pod, pods, 50)
    assert ejection.ejected() == pods[:4]
    assert list(ejection.admit(pods)) == pods[4:]


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_never_the_last_one(share, count):
    ejection, pods = Ejection(max_share=share), make_pods(count)
    for pod in pods:
        fail(ejection, pod, pods, 10)
    assert len(ejection.admit(pods)) >= max(1, count - int(share * count))


def test_a_share_of_nothing_ejects_nobody():
    ejection, pods = Ejection(max_share=0.0), make_pods(4)
    fail(ejection, pods[0], pods, 50)
    assert not ejection.ejected()


def test_candidates_that_are_all_out_come_back_in_the_order_of_their_time(ejection, clock):
    """A filter, or pods that left, may leave nobody else."""
    pods = make_pods(8)
    for pod in pods[:4]:
        fail(ejection, pod, pods)
        clock.now += 1.0
    assert list(ejection.admit(pods[:4])) == pods[:2]
    assert list(ejection.admit(pods[2:4])) == [pods[2]]
    ejection.succeeded(pods[2], ejection.placed(pods[2]))
    assert pods[2] not in ejection.ejected()


def test_the_place_that_comes_free_is_taken_at_the_next_failure(ejection):
    pods = make_pods(4)
    for pod in pods[:3]:
        fail(ejection, pod, pods)
    assert ejection.ejected() == pods[:2]
    ejection.forget(pods[0])
    fail(ejection, pods[2], pods, 1)
    assert ejection.ejected() == [pods[1], pods[2]]


def test_simultaneous_failures_eject_once(ejection, clock):
    """F30: 50 requests were under way when the pod died."""
    pods = make_pods(4)
    turns = [ejection.placed(pods[0]) for _ in range(50)]
    for turn in turns:
        ejection.failed(pods[0], turn, pods)
    clock.now = 30.0
    assert pods[0] in ejection.admit(pods)  # the wait is that of a first ejection


def test_what_was_under_way_when_the_pod_was_ejected_does_not_bring_it_back(ejection):
    pods = make_pods(4)
    old = ejection.placed(pods[0])
    fail(ejection, pods[0], pods)
    ejection.succeeded(pods[0], old)
    ejection.abandoned(pods[0], old)
    assert pods[0] not in ejection.admit(pods)


def test_while_all_is_well_nothing_is_copied(ejection):
    pods = make_pods(3)
    ejection.succeeded(pods[0], ejection.placed(pods[0]))
    assert ejection.admit(pods) is pods
    assert not ejection.on_trial(pods[0])
