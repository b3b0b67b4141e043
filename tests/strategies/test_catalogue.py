"""From a name to a strategy."""

from random import Random
from typing import ClassVar

import pytest

from aibrix_mw.errors import ConfigurationError, UnknownStrategy
from aibrix_mw.profiles import parse_config
from aibrix_mw.strategies import TABLE
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import _KEPT, ASKED_KEPT, Catalogue, load_class
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.pd import Pd
from aibrix_mw.strategies.weighted import WeightedList
from tests.support import Clock, ask_for, make_pods

LEAST = "aibrix_mw.strategies.least_request:LeastRequest"


class Mine(Strategy):
    """The last pod."""

    def pick(self, request, pods, /):
        raise NotImplementedError


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_strategy_is_built_once(name):
    catalogue = Catalogue()
    assert catalogue.get(name) is catalogue.get(name) is catalogue.get(name, {})
    assert name in catalogue
    assert name in catalogue.names()


class Deep(Mine):
    """Reads one option."""

    option_types: ClassVar = {"depth": int, "width": int}


def test_options_make_another_instance():
    catalogue = Catalogue({"deep": Deep})
    first = catalogue.get("deep", {"depth": 1, "width": 2})
    assert first is catalogue.get("deep", {"width": 2, "depth": 1})
    assert first is not catalogue.get("deep", {"depth": 1})
    assert first.options == {"depth": 1, "width": 2}


def test_a_strategy_gets_the_options_that_it_declares():
    catalogue = Catalogue({"deep": Deep})
    first = catalogue.get("deep", {"depth": 1, "promptTokensGte": 5})
    assert first.options == {"depth": 1}
    assert first is catalogue.get("deep", {"depth": 1, "maxTokensLt": 7})
    assert catalogue.get("least-request") is catalogue.get("least-request", {"depth": 1})


def test_presets_lie_under_the_options():
    catalogue = Catalogue({"deep": Deep})
    before, list_before = catalogue.get("session-affinity"), catalogue.get("session-affinity:2")
    catalogue.preset("session-affinity", {"sessionKey": b"k"})
    catalogue.preset("deep", {"depth": 1, "width": 1})
    fresh = catalogue.get("session-affinity", {"sessionKey": b"of a profile"})
    assert fresh is not before
    assert catalogue.get("session-affinity:2") is not list_before
    assert fresh.options == {"sessionKey": b"k"}
    assert catalogue.get("deep", {"width": 2}).options == {"depth": 1, "width": 2}


def test_an_import_string_needs_trust():
    catalogue = Catalogue()
    assert isinstance(catalogue.get(LEAST), LeastRequest)
    with pytest.raises(UnknownStrategy) as caught:
        catalogue.get(LEAST, trusted=False)
    assert caught.value.message == f"incorrect routing strategy {LEAST}"


@pytest.mark.parametrize(
    "spec",
    [
        *("", "nonsense", "Least-Request", "os:system", "no_such_module:Thing", "aibrix_mw:Thing", "a..b:C"),
        *("random:6,least-request:4", "power-of-two:1", "least-request,nonsense:0", "nonsense:0,least-request"),
        *("least-request:1:2", "least-request:0", "least-request,", f"{LEAST},random"),
    ],
)
def test_what_is_no_strategy(spec):
    catalogue = Catalogue()
    for trusted in (True, False):
        with pytest.raises(UnknownStrategy) as caught:
            catalogue.get(spec, trusted=trusted)
        assert caught.value.message == f"incorrect routing strategy {spec}"
        assert caught.value.reason


def test_a_list():
    catalogue = Catalogue(rng=Random(1))
    built = catalogue.get("least-request:6,session-affinity:0, session-affinity", trusted=False)
    assert isinstance(built, WeightedList)
    assert [(type(item.scorer).__name__, item.weight) for item in built.items] == [
        ("LeastRequest", 6),
        ("SessionAffinity", 1),
    ]
    assert built.items[0].scorer is catalogue.get("least-request")


def test_a_list_of_one_chooses_like_its_item():
    pods = make_pods(3)
    pods[0].in_flight = pods[2].in_flight = 4
    assert Catalogue().get("least-request:3").pick(ask_for(), pods).pod is pods[1]


def test_the_number_of_kept_lists_is_bounded():
    catalogue = Catalogue()
    first = catalogue.get("least-request:1")
    for weight in range(2, _KEPT + 1):
        catalogue.get(f"least-request:{weight}")
    assert catalogue.get("least-request:1") is first
    catalogue.get("least-request:1000")
    assert len(catalogue._lists) == len(catalogue._recent) == _KEPT == 256
    assert catalogue.get("least-request:1") is not first


def test_unknown_names_are_not_kept():
    catalogue = Catalogue()
    for number in range(300):
        with pytest.raises(UnknownStrategy):
            catalogue.get(f"nonsense-{number}")
    assert not catalogue._singles
    assert not catalogue._lists


def test_names_of_ones_own():
    catalogue = Catalogue({"mine": Mine, "least": LEAST})
    assert isinstance(catalogue.get("mine", trusted=False), Mine)
    assert isinstance(catalogue.get("least", trusted=False), LeastRequest)
    assert isinstance(catalogue.get("least:2,session-affinity", trusted=False), WeightedList)
    with pytest.raises(UnknownStrategy, match="mine"):
        catalogue.get("mine:2")
    assert "mine" not in Catalogue()


def test_what_a_configuration_needs_and_nobody_has():
    profiles = {
        "good": {"routingStrategy": "mine"},
        "none": {},
        "my batch": {"routingStrategy": "random:1"},
    }
    config, _ = parse_config({"profiles": profiles, "lockedRoutingStrategy": "worst"})
    assert [str(fault) for fault in Catalogue({"mine": Mine}).faults(config)] == [
        "$.lockedRoutingStrategy: incorrect routing strategy worst: worst does not exist",
        '$.profiles["my batch"].routingStrategy: incorrect routing strategy random:1: random cannot stand in a list',
    ]


@pytest.mark.parametrize("path", ["", ":X", "os:path", "os:PathLike", "nothing", "aibrix_mw.strategies.base:nothing"])
def test_what_is_no_strategy_class(path):
    with pytest.raises(ConfigurationError):
        load_class(path)


# --- options and needs of one's own


class Needy(Deep):
    """Looks at what no engine reports."""

    needs = frozenset({"mood", "running"})


def test_a_class_that_needs_what_no_engine_reports():
    with pytest.raises(ConfigurationError, match=r"Needy: needs what no engine reports: mood"):
        load_class(f"{__name__}:Needy")


def test_keys_of_strategies_that_are_not_the_gateways():
    catalogue = Catalogue({"deep": Deep, "broken": "no_such_module:Thing"})
    readers = catalogue.own_options("")
    assert readers.keys() == {"depth", "width"}
    assert readers["depth"](3) == 3
    for value, reason in (("3", "expected `int`, got `str`"), (1.5, "expected `int`, got `float`")):
        with pytest.raises(ValueError, match=reason):
            readers["depth"](value)
    assert Catalogue().own_options("") == Catalogue().own_options("no_such_module:Thing") == {}
    assert Catalogue().own_options(f"{__name__}:Deep").keys() == {"depth", "width"}


def config_of(**fields):
    return parse_config({"profiles": {"default": {}}, **fields})[0]


def test_what_is_looked_at_on_a_model():
    clock = Clock(0.0)
    catalogue = Catalogue(clock=clock)
    assert catalogue.needs("m", config_of(), "least-request") == set()
    assert catalogue.needs("m", config_of(), "least-busy-time") == {"gpu_busy_ratio", "busy_share"}
    two = config_of(
        profiles={"a": {"routingStrategy": "least-kv-cache:2,least-request"}, "b": {"routingStrategy": "nonsense"}}
    )
    assert catalogue.needs("m", two, "least-request") == {"kv_cache_usage", "cpu_cache_usage"}
    locked = config_of(lockedRoutingStrategy="random", profiles={"default": {"routingStrategy": "throughput"}})
    assert catalogue.needs("m", locked, "least-busy-time") == set()


def test_what_clients_ask_for_is_looked_at_for_a_while():
    clock = Clock(0.0)
    catalogue = Catalogue(clock=clock)
    catalogue.asked("m", "least-busy-time")
    wanted = {"gpu_busy_ratio", "busy_share"}
    assert catalogue.needs("m", config_of(), "random") == wanted
    assert catalogue.needs("n", config_of(), "random") == set()
    clock.now = ASKED_KEPT
    assert catalogue.needs("m", config_of(), "random") == wanted
    clock.now += 1
    assert catalogue.needs("m", config_of(), "random") == set()


def test_pods_that_leave_are_told_to_all():
    heard = []

    class Hearing(Mine):
        def forget(self, pod, /):
            heard.append(pod)

    catalogue = Catalogue({"hearing": Hearing})
    catalogue.get("hearing")
    (pod,) = make_pods(1)
    catalogue.forget(pod)
    assert heard == [pod]


def test_a_list_that_names_pd_is_pd_alone():
    catalogue = Catalogue(rng=Random(1))
    alone = catalogue.get("pd", {}, profile="default")
    assert isinstance(alone, Pd)
    assert catalogue.get("least-request:3,pd", {}, profile="default") is alone
    assert not isinstance(catalogue.get("least-request:3,pd:0", {}), Pd)


def test_pd_knows_the_profile():
    catalogue = Catalogue(rng=Random(1))
    catalogue.preset("pd", {"fallback": "refuse"})
    strategy = catalogue.get("pd", {"imbalance": 3}, profile="batch")
    assert isinstance(strategy, Pd)
    assert (strategy.profile, strategy.prefixes.imbalance, strategy.may_fall_back) == ("batch", 3, False)
    assert strategy is not catalogue.get("pd", {"imbalance": 3}, profile="other")
