"""Who is there, and under which names."""

import pytest

from aibrix_mw.pods.pod import Address
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from aibrix_mw.profiles import BUILT_IN
from tests.pods.registries import Clock, info, known, uids

# --- pods


def test_an_unknown_name():
    registry = PodRegistry()
    assert registry.find("m") is None
    assert registry.config("m") is BUILT_IN
    assert registry.serving("m") == ()
    assert registry.models() == {}
    assert registry.names() == {}
    registry.remove("k", "nobody")


def test_a_pod_keeps_its_object_while_its_uid_lives():
    registry = PodRegistry()
    registry.put("k", info("1"))
    (pod,) = registry.serving("m")
    pod.in_flight = 3
    registry.put("k", info("1", address=Address("10.0.0.2", 8000), labels={"a": "b"}))
    registry.replace("k", [info("2"), info("1", excluded="not_ready")])
    registry.replace("k", [info("1"), info("2")])
    assert registry.serving("m")[0] is pod
    assert pod.in_flight == 3
    assert pod.info == info("1")


def test_the_same_name_with_another_uid_starts_clean():
    registry = PodRegistry()
    registry.put("k", info("1", name="engine-0"))
    registry.serving("m")[0].in_flight = 3
    registry.replace("k", [info("2", name="engine-0")])
    (pod,) = registry.serving("m")
    assert (pod.uid, pod.in_flight) == ("2", 0)


def test_a_snapshot_does_not_change_under_its_reader():
    registry = PodRegistry()
    registry.put("k", info("1"))
    before = known(registry)
    registry.put("k", info("2"))
    assert len(before.pods) == 1
    assert uids(registry) == ["1", "2"]


def test_an_unchanged_description_changes_nothing():
    registry = PodRegistry()
    registry.put("k", info("1"))
    before = registry.find("m")
    registry.put("k", info("1"))
    assert registry.find("m") is before


def test_excluded_pods_are_known_and_not_routable():
    registry = PodRegistry()
    registry.replace("k", [info("1"), info("2", excluded="terminating")])
    assert uids(registry) == ["1"]
    assert [pod.uid for pod in registry.models()["m"]] == ["1", "2"]


def test_a_new_model_label_moves_the_pod():
    registry = PodRegistry()
    registry.put("k", info("1"))
    (pod,) = registry.serving("m")
    registry.put("k", info("1", model="other"))
    assert registry.serving("m") == ()
    assert registry.serving("other") == (pod,)
    assert known(registry).pods == ()


def test_each_source_has_its_own_pods():
    registry = PodRegistry()
    registry.put("a", info("1"))
    registry.put("b", info("2"))
    registry.replace("a", [])
    assert uids(registry) == ["2"]
    registry.remove("a", "2")
    assert uids(registry) == ["2"]


def test_a_pod_of_two_sources_stays_until_both_let_it_go():
    registry = PodRegistry()
    registry.put("labelled", info("1"))
    (pod,) = registry.serving("m")
    registry.put("annotated", info("1"))
    registry.remove("labelled", "1")
    assert registry.serving("m") == (pod,)
    registry.remove("annotated", "1")
    assert registry.serving("m") == ()


# --- names


def test_adapters_are_served_by_the_pods_that_list_them():
    registry = PodRegistry()
    registry.replace("k", [info("1", adapters=("sql", "m")), info("2"), info("3", adapters=("sql",), excluded="x")])
    assert uids(registry, "sql") == ["1"]
    served = known(registry, "sql")
    assert (served.model, served.rewrite) == ("m", None)
    assert set(registry.names()) == {"m", "sql"}
    registry.put("k", info("1"))
    assert known(registry, "sql").pods == ()
    registry.put("k", info("3"))
    assert registry.find("sql") is None


def test_an_alias_is_rewritten():
    registry = PodRegistry()
    registry.define({"m": ModelDefinition(aliases=("gpt-4o",))})
    registry.put("k", info("1"))
    served = known(registry, "gpt-4o")
    assert (served.model, served.rewrite, len(served.pods)) == ("m", "m", 1)
    registry.define({"m": ModelDefinition(aliases=("gpt-5",))})
    assert registry.find("gpt-4o") is None
    assert uids(registry, "gpt-5") == ["1"]


def test_the_first_model_keeps_a_contested_adapter_until_it_lets_go(caplog):
    registry = PodRegistry()
    registry.put("k", info("1", model="a", adapters=("sql",)))
    registry.put("k", info("2", model="b", adapters=("sql",)))
    registry.put("k", info("2", model="b", adapters=("sql",), created=1.0))
    assert uids(registry, "sql") == ["1"]
    assert caplog.text.count("sql: is a name of model a; model b does not get it") == 1
    registry.put("k", info("1", model="a"))
    assert uids(registry, "sql") == ["2"]


@pytest.mark.parametrize("leave", [lambda r: r.remove("k", "1"), lambda r: r.put("k", info("1", "a", excluded="x"))])
def test_a_contested_adapter_goes_to_the_model_that_has_pods(leave):
    registry = PodRegistry()
    registry.put("k", info("1", model="a", adapters=("sql",)))
    registry.put("k", info("2", model="b", adapters=("sql",)))
    leave(registry)
    assert uids(registry, "sql") == ["2"]
    registry.put("k", info("1", model="a", adapters=("sql",)))
    assert uids(registry, "sql") == ["2"]
    registry.remove("k", "2")
    assert uids(registry, "sql") == ["1"]


def test_a_model_takes_its_own_name_and_gives_it_back():
    clock = Clock()
    registry = PodRegistry(clock=clock)
    registry.put("k", info("1", model="a", adapters=("b",)))
    registry.put("k", info("2", model="b"))
    assert uids(registry, "b") == ["2"]
    registry.put("k", info("2", model="b", excluded="not_ready"))
    assert known(registry, "b").model == "b"
    registry.remove("k", "2")
    assert uids(registry, "b") == ["1"]
    registry.put("k", info("3", model="b"))
    assert uids(registry, "b") == ["3"]
    clock.now += 601
    registry.put("k", info("4", model="c"))
    assert uids(registry, "b") == ["3"]


def test_a_defined_model_keeps_its_name_without_pods():
    registry = PodRegistry()
    registry.define({"b": ModelDefinition()})
    registry.put("k", info("1", model="a", adapters=("b",)))
    assert known(registry, "b").model == "b"
    registry.define({})
    assert uids(registry, "b") == ["1"]


# --- memory of models without pods


def test_a_model_is_remembered_for_a_while_and_its_adapters_with_it():
    clock = Clock()
    registry = PodRegistry(remember=600, clock=clock)
    registry.put("k", info("1", adapters=("sql",)))
    registry.remove("k", "1")
    clock.now += 600
    assert known(registry).pods == ()
    assert known(registry, "sql").pods == ()
    assert registry.models() == {"m": ()}
    assert registry.names() == {}
    clock.now += 1
    assert registry.find("m") is None
    assert registry.find("sql") is None
    assert registry.models() == {}


def test_a_returning_pod_starts_the_memory_anew():
    clock = Clock()
    registry = PodRegistry(remember=10, clock=clock)
    for _ in range(3):
        registry.put("k", info("1"))
        registry.remove("k", "1")
        clock.now += 8
        assert registry.find("m") is not None


def test_what_is_forgotten_leaves_nothing_behind():
    clock = Clock()
    registry = PodRegistry(remember=10, clock=clock)
    for number in range(50):
        registry.put("k", info("1", model=f"m{number}", adapters=(f"a{number}",), config="broken"))
        registry.remove("k", "1")
        clock.now += 11
    assert len(registry._models) == len(registry._served) / 2 == 1
    assert not registry._pods
    assert not registry._reported


def test_a_defined_model_is_always_known():
    clock = Clock()
    registry = PodRegistry(remember=10, clock=clock)
    registry.define({"m": ModelDefinition(aliases=("x",))})
    clock.now += 1e6
    assert known(registry).pods == known(registry, "x").pods == ()
    assert registry.models() == {"m": ()}
    registry.define({"other": ModelDefinition()})
    assert registry.find("m") is registry.find("x") is None
    assert registry.find("other") is not None


def test_a_model_that_is_not_defined_any_more_lives_on_with_its_pods():
    registry = PodRegistry()
    registry.define({"m": ModelDefinition(aliases=("x",))})
    registry.put("k", info("1"))
    registry.define({})
    assert uids(registry) == ["1"]
    assert registry.find("x") is None
