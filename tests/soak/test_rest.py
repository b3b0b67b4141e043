"""Whatever is left over is found."""

from types import SimpleNamespace

import pytest

from tests.soak.accounts import Exposition
from tests.soak.rest import POOL, STORE_SOCKETS, Rest, flat, left_over
from tests.soak.vitals import Ends, Vitals

STAGE = SimpleNamespace(pods=[SimpleNamespace(name="pod-1")])
HELD = Vitals(1000, 5, 13, {"listening": 2, "engines": 1, "store": 1}, {"Server.run": 1}, {"dict": 1000})


def metrics(in_flight=0, pod="pod-1", on_pod=0):
    """What a gateway with one pod exposes."""
    return Exposition(
        "# TYPE aibrix_gateway_in_flight_requests gauge\n"
        f'aibrix_gateway_in_flight_requests{{model="m"}} {in_flight}\n'
        "# TYPE aibrix_gateway_pod_in_flight gauge\n"
        f'aibrix_gateway_pod_in_flight{{model="m",engine_pod="{pod}",engine_namespace="default"}} {on_pod}\n'
    )


BASE = Rest(metrics(), 0, HELD)


def bad(**changes):
    """Names of the checks that do not hold for such a rest."""
    vitals = HELD._replace(**{key: changes.pop(key) for key in HELD._fields if key in changes})
    rest = BASE._replace(vitals=vitals, **changes)
    return [check.name for check in left_over(rest, BASE, STAGE) if not check.good]


def test_nothing_is_left():
    assert bad() == []
    assert bad(threads=5 + POOL, sockets=HELD.sockets | {"store": STORE_SOCKETS, "operators": 1}) == []


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"exposition": metrics(in_flight=1)}, "in_flight is 0"),
        ({"exposition": metrics(on_pod=-1)}, "in_flight is 0"),
        ({"exposition": metrics(pod="pod-2")}, "only pods that are there have series"),
        ({"running": 1}, "engines run nothing"),
        ({"tasks": {"Server.run": 1, "Relay.run": 1}}, "no task is left"),
        ({"tasks": {}}, "no task is left"),
        ({"sockets": HELD.sockets | {"clients": 1}}, "no socket is left"),
        ({"sockets": HELD.sockets | {"engines": 2}}, "no socket is left"),
        ({"sockets": HELD.sockets | {"store": STORE_SOCKETS + 1}}, "connections to the store are bounded"),
        ({"files": 14}, "no descriptor is left"),
        ({"threads": 6 + POOL}, "no thread is left"),
    ],
)
def test_something_is_left(changes, check):
    assert bad(**changes) == [check]


@pytest.mark.parametrize(
    ("rss", "objects", "good"),
    [(900, 900, [True, True]), (1050, 1050, [True, True]), (1051, 1000, [False, True]), (1000, 1051, [True, False])],
)
def test_memory(rss, objects, good):
    last = BASE._replace(vitals=HELD._replace(rss=rss, objects={"dict": objects}))
    assert [check.good for check in flat(BASE, last)] == good


def test_whom_sockets_lead_to():
    ends = Ends(8080, 8081, 6379, {8000})
    peers = [(8080, 40000, "01"), (8081, 40000, "01"), (40000, 6379, "01"), (40000, 8000, "08"), (40000, 9, "01")]
    assert [ends.of(*peer) for peer in peers] == ["clients", "operators", "store", "engines", "others"]
    assert ends.of(8080, 0, "0A") == "listening"
