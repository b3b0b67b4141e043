"""Requests of other gateways count where pods are compared, and only there."""

import pytest

from aibrix_mw.shared.exchange import Exchange
from aibrix_mw.shared.in_flight import InFlight
from aibrix_mw.strategies.catalogue import Catalogue
from tests.support import ask_for, info, registry_of


def replica(pods=3):
    registry = registry_of(*(info(number) for number in range(1, pods + 1)))
    return registry, InFlight(registry)


def loads(registry):
    return [pod.in_flight for pod in registry.serving("m")]


def test_only_what_is_held_here_is_told():
    registry, in_flight = replica()
    one, two, _ = registry.serving("m")
    with one.lease(), one.lease(), two.lease():
        in_flight.take({"uid-1": 5, "uid-3": 2})
        assert loads(registry) == [7, 1, 2]
        assert in_flight.collect() == {"uid-1": 2, "uid-2": 1}
    assert loads(registry) == [5, 0, 2]
    assert in_flight.collect() == {}


def test_the_last_word_counts():
    registry, in_flight = replica()
    in_flight.take({"uid-1": 5, "uid-2": 1, "nobody": 3})
    in_flight.take({"uid-2": 4})
    assert loads(registry) == [0, 4, 0]
    in_flight.take({})
    assert loads(registry) == [0, 0, 0]


def test_a_pod_that_comes_later_is_told_too():
    registry, in_flight = replica(1)
    numbers = {"uid-1": 1, "uid-2": 6}
    in_flight.take(numbers)
    registry.put("test", info(2))
    assert loads(registry) == [1, 0]
    in_flight.take(numbers)
    assert loads(registry) == [1, 6]


@pytest.mark.parametrize("strategy", ["least-request", "power-of-two", "least-request:1"])
async def test_strategies_see_both(client, strategy):
    """Two gateways, two pods: the second does not choose the pod that the first has loaded."""
    (here, own), (there, theirs) = replica(2), replica(2)
    exchanges = [Exchange(client, [side.topic()]) for side in (own, theirs)]
    with there.serving("m")[0].lease(), here.serving("m")[1].lease(), there.serving("m")[0].lease():
        for exchange in (*exchanges, *exchanges):
            await exchange.tick()
        picks = {Catalogue().get(strategy).pick(ask_for(), here.serving("m")).pod.uid for _ in range(50)}
        assert picks == {"uid-2"}
        assert loads(here) == loads(there) == [2, 1]
