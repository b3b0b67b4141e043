"""What every strategy of the table, and every list, promises of its twin: the same choices, and no trace."""

from collections import deque
from collections.abc import Mapping
from random import Random

import pytest

from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.catalogue import Catalogue
from tests.strategies.test_conformance import LISTS, NOW, SINGLES, full_request, reporting_pods
from tests.support import Clock

PLAIN = (str, bytes, int, float, type(None))


def traces(thing, seen=None):
    """All that an object keeps, as plain data; pods and requests stand for themselves."""
    seen = {} if seen is None else seen
    if isinstance(thing, PLAIN):
        return thing
    if isinstance(thing, Pod) or callable(thing):
        return id(thing)
    if id(thing) in seen:
        return "again"
    seen[id(thing)] = thing
    if isinstance(thing, Random):
        return thing.getstate()
    if isinstance(thing, Mapping):
        return [(traces(key, seen), traces(value, seen)) for key, value in list(thing.items())]
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return [traces(item, seen) for item in thing]
    names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
    return [(name, traces(getattr(thing, name), seen)) for name in names if not name.startswith("__")]


@pytest.fixture(params=[*SINGLES, *LISTS], ids=str)
def strategy(request):
    return Catalogue(rng=Random(7), clock=Clock(NOW)).get(request.param)


def work(strategy, pods, times=20):
    """Some requests, with what users and prompts they have in common."""
    for number in range(times):
        strategy.pick(full_request(f"user-{number % 3}"), pods)


def test_the_twin_picks_the_same(strategy):
    pods = reporting_pods(5, Random(3))
    work(strategy, pods)
    for _ in range(10):
        foretold = strategy.rehearsal().pick(full_request(), pods)
        target = strategy.pick(full_request(), pods)
        assert foretold.pod is target.pod
        assert (foretold.match, foretold.fallback, foretold.headers) == (target.match, target.fallback, target.headers)


def test_it_leaves_no_trace(strategy):
    pods = reporting_pods(5, Random(3))
    work(strategy, pods)
    before = traces(strategy)
    twin = strategy.rehearsal()
    assert twin is not strategy
    fresh = reporting_pods(6, Random(4))
    work(twin, fresh)
    twin.explain(full_request("somebody new"), fresh)
    assert traces(strategy) == before


@pytest.mark.parametrize("name", ["random", "prefix-cache", "prefix-cache-preble", "vtc-basic", *LISTS[2:]])
def test_choices_leave_traces_that_can_be_seen(name):
    strategy = Catalogue(rng=Random(7), clock=Clock(NOW)).get(name)
    before = traces(strategy)
    strategy.pick(full_request(), reporting_pods(5, Random(3)))
    assert traces(strategy) != before
