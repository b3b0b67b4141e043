"""What strategies tell each other, and what becomes of those that cannot."""

from typing import ClassVar

import pytest

from aibrix_mw.shared.charges import Charges
from aibrix_mw.shared.exchange import Exchange
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue
from tests.support import Running


class Telling(Strategy):
    """Tells what it is given, and keeps what it hears."""

    option_types: ClassVar = {"depth": int}

    def set_up(self):
        self.told = {"al": 1}
        self.heard = []

    def tell(self):
        return self.told

    def hear(self, elsewhere, /):
        self.heard.append(elsewhere)


class Failing(Telling):
    """Cannot do anything."""

    def tell(self):
        raise ValueError("no tell")

    def hear(self, elsewhere, /):
        raise KeyError("no hear")

    def forget(self, pod, /):
        raise RuntimeError("no forget")


@pytest.fixture
def catalogue():
    return Catalogue({"good": Telling, "bad": Failing})


def test_by_name_and_options(catalogue):
    one, deep = catalogue.get("good"), catalogue.get("good", {"depth": 2, "imbalance": 5})
    deep.told = {"al": 2, "bo": 0.5}
    charges = Charges(catalogue)
    numbers = charges.collect()
    assert numbers == {"good\nal": 1.0, 'good{"depth":2}\nal': 2.0, 'good{"depth":2}\nbo': 0.5}
    charges.take({**numbers, "other\nal": 9.0})
    assert (one.heard, deep.heard) == ([{"al": 1.0}], [{"al": 2.0, "bo": 0.5}])
    charges.take({})
    assert one.heard[1] == {}


async def test_one_that_raises_does_not_end_the_exchange(catalogue, client, log):
    for name in ("bad", "good"):
        catalogue.get(name)
    charges = Charges(catalogue)
    here, there = (Exchange(client, [charges.topic()]) for _ in range(2))
    for _ in range(3):
        await here.tick()
        await there.tick()
    assert catalogue.get("good").heard[-1] == {"al": 1.0}
    assert here.connected
    assert log() == [f"strategy bad: {hook}() fails, the gateway goes on without it" for hook in ("tell", "hear")]
    assert [str(fault) for fault in catalogue.guard.faults()] == [
        "strategy bad: tell() fails: ValueError: no tell (times: 6)",
        "strategy bad: hear() fails: KeyError: 'no hear' (times: 6)",
    ]


@pytest.mark.parametrize("told", [{"al": "much"}, {"al": None}, ["al"]])
def test_what_nobody_can_add_up_is_not_told(catalogue, told):
    catalogue.get("good").told = told
    assert Charges(catalogue).collect() == {}
    (fault,) = catalogue.guard.faults()
    assert (fault.path, fault.reason.startswith("tell() fails: ")) == ("strategy good", True)


async def test_a_pod_leaves_whatever_a_strategy_makes_of_it():
    async with Running(strategies={"bad": Failing}) as running:
        running.gateway.catalogue.get("bad")
        running.registry.remove("test", "uid-1")
        assert [pod.uid for pod in running.registry.serving("m")] == ["uid-2"]
        assert [fault.path for fault in running.gateway.faults()] == ["strategy bad"]
