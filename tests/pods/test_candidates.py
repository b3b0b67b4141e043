"""Which pods may take a request."""

import pytest

from aibrix_mw.errors import FilterMatchesNone, InflightExceeded, NoReadyPods
from aibrix_mw.pods.candidates import candidates
from aibrix_mw.pods.selector import Selector
from tests.support import ask_for, info, registry_of


def names(registry, selector=None):
    return [pod.info.name for pod in candidates(registry, ask_for(), selector)]


def test_all_that_are_ready():
    assert names(registry_of(info(1), info(2, excluded="not_ready"), info(3))) == ["pod-1", "pod-3"]


def test_those_that_a_filter_leaves():
    registry = registry_of(info(1, labels={"tier": "a"}), info(2, labels={"tier": "b"}))
    assert names(registry, Selector("tier=b")) == ["pod-2"]
    with pytest.raises(FilterMatchesNone, match="external-filter tier=c matches no ready pod of model m"):
        names(registry, Selector("tier=c"))


def test_none():
    with pytest.raises(NoReadyPods, match="no ready pods for model m"):
        names(registry_of(info(1, excluded="terminating")), Selector("a=b"))


def test_those_that_are_not_full():
    registry = registry_of(info(1), info(2))
    first, second = registry.serving("m")
    with first.lease():
        assert list(candidates(registry, ask_for(), None, 1)) == [second]
        with second.lease(), pytest.raises(InflightExceeded, match="in-flight requests per replica: 1"):
            candidates(registry, ask_for(), None, 1)
