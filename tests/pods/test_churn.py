"""Readiness that comes and goes."""

from aibrix_mw.pods.churn import Churn
from tests.support import Clock, info

READY = info(1)
NOT_READY = info(1, excluded="not_ready")
TERMINATING = info(1, excluded="terminating")


def seen(*infos, churn=None):
    churn = churn or Churn(Clock())
    before = None
    for now in infos:
        churn.see(before, now)
        before = now
    return churn


def test_the_first_ready_is_none():
    assert not seen(NOT_READY, READY).transitions
    assert not seen(READY).transitions


def test_each_turn_counts():
    churn = seen(NOT_READY, READY, NOT_READY, NOT_READY, READY)
    assert churn.transitions == {("m", "not_ready"): 1, ("m", "ready"): 1}


def test_a_deletion_is_none():
    assert not seen(READY, TERMINATING, NOT_READY).transitions


def test_flapping():
    clock = Clock()
    churn = Churn(clock)
    seen(READY, NOT_READY, READY, churn=churn)
    assert not churn.is_flapping("uid-1")
    churn.see(READY, NOT_READY)
    assert churn.is_flapping("uid-1")
    clock.now += 600
    assert churn.is_flapping("uid-1")
    clock.now += 1
    assert not churn.is_flapping("uid-1")
    churn.see(NOT_READY, READY)
    assert churn.is_flapping("uid-1") is False


def test_a_rollout_is_no_flapping():
    churn = Churn(Clock())
    for number in range(20):
        for excluded in ("not_ready", None, "terminating"):
            churn.see(info(number, excluded="not_ready"), info(number, excluded=excluded))
    assert not churn.transitions


def test_a_pod_that_is_gone_is_forgotten():
    churn = seen(READY, NOT_READY, READY, NOT_READY)
    churn.forget("uid-1")
    assert not churn.is_flapping("uid-1")
    churn.see(NOT_READY, READY)
    assert churn.transitions["m", "ready"] == 1
    churn.forget("nobody")
