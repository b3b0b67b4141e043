"""Pods of several sources, under several names, and those of the last resort."""

import pytest

from aibrix_mw.errors import Fault
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from tests.support import info


def serving(registry, name="m"):
    return [pod.info.name for pod in registry.serving(name)]


def test_many_at_once():
    registry = PodRegistry()
    registry.put("k", *(info(number) for number in range(5)))
    registry.remove("k", "uid-0", "uid-1", "nobody")
    registry.retain("k", {"uid-2", "uid-3"})
    assert serving(registry) == ["pod-2", "pod-3"]
    registry.retain("another", set())
    assert len(registry.serving("m")) == 2


def test_a_pod_that_leaves_one_source_and_comes_by_another():
    registry = PodRegistry()
    registry.put("one", info(1))
    (pod,) = registry.serving("m")
    with pod.lease():
        registry.remove("one", "uid-1")
        assert serving(registry) == []
        registry.put("two", info(1, "other"))
        assert registry.serving("other") == (pod,)
        assert pod.info.model == "other"


def test_transitions_are_seen():
    registry = PodRegistry()
    for excluded in (None, "not_ready", None):
        registry.put("k", info(1, excluded=excluded))
    assert registry.churn.transitions == {("m", "not_ready"): 1, ("m", "ready"): 1}


def test_faults_are_told():
    registry = PodRegistry()
    told: list[tuple[str, Fault]] = []
    registry.on_fault = lambda pod, fault: told.append((pod.name, fault))
    for config in ("{", "{", "[", "{"):
        registry.put("k", info(1, config=config))
    assert [name for name, _ in told] == ["pod-1", "pod-1"]
    assert all("annotation model.aibrix.ai/config" in str(fault) for _, fault in told)


# --- the last resort


LEAVING = {"excluded": "terminating", "last_resort": True}


@pytest.mark.parametrize("last_resort", [False, True])
def test_terminating_pods(last_resort):
    registry = PodRegistry(last_resort=last_resort)
    registry.put("k", info(1, **LEAVING, adapters=("sql",)), info(2), info(3, excluded="terminating"))
    assert serving(registry) == ["pod-2"]
    assert serving(registry, "sql") == (["pod-1"] if last_resort else [])
    registry.put("k", info(2, excluded="not_ready"))
    assert serving(registry) == (["pod-1"] if last_resort else [])


def test_they_keep_the_configuration():
    registry = PodRegistry(last_resort=True)
    config = '{"profiles": {"default": {"routingStrategy": "random"}}}'
    registry.put("k", info(1, config=config))
    registry.put("k", info(1, config=config, **LEAVING))
    served = registry.find("m")
    assert served is not None
    assert served.config.profiles["default"].routing_strategy == "random"


# --- names with a prefix


def test_what_the_engine_calls_it():
    registry = PodRegistry()
    registry.define({"ns/m": ModelDefinition(aliases=("gpt",))})
    registry.put("k", info(1, "ns/m", prefix="ns/", adapters=("ns/sql",)))
    names = {name: served.rewrite for name, served in registry.names().items()}
    assert names == {"ns/m": "m", "gpt": "m", "ns/sql": "sql"}
    assert [name for name, served in registry.names().items() if served.alias] == ["gpt"]
