"""One name in several namespaces."""

import pytest

from aibrix_mw.pods.kubernetes.namespaces import Pooled, Qualified, Strict, scoped
from aibrix_mw.pods.registry import PodRegistry
from tests.support import info


@pytest.fixture
def registry():
    return PodRegistry()


def serving(registry, name="m"):
    return sorted(pod.info.name for pod in registry.serving(name))


def excluded(registry, name="m"):
    return {pod.info.name: pod.info.excluded for pod in registry.models().get(name, ())}


def test_the_settings_words(registry):
    kinds = {"strict": Strict, "cluster": Pooled, "namespace": Qualified}
    assert {scope: type(scoped(registry, scope, ())) for scope in kinds} == kinds


def test_cluster(registry):
    pods = scoped(registry, "cluster", ())
    pods.put("s", info(1, namespace="a"), info(2, namespace="b"))
    assert serving(registry) == ["pod-1", "pod-2"]
    pods.retain("s", {"uid-2"})
    pods.remove("s", "uid-1")
    assert serving(registry) == ["pod-2"]
    assert pods.faults() == []


def test_namespace(registry):
    pods = scoped(registry, "namespace", ())
    pods.put("s", info(1, namespace="a", adapters=("sql",)), info(2, namespace="b"))
    assert serving(registry, "a/m") == serving(registry, "a/sql") == ["pod-1"]
    assert registry.find("a/sql").rewrite == "sql"
    assert registry.find("a/m").rewrite == "m"
    assert registry.find("m") is registry.find("sql") is None


# --- strict


def test_the_first_one_listed_serves(registry, log):
    pods = Strict(registry, ["b", "a"])
    pods.put("s/a", info(1, namespace="a", adapters=("sql",)))
    assert serving(registry) == serving(registry, "sql") == ["pod-1"]
    pods.put("s/b", info(2, namespace="b"))
    assert excluded(registry) == {"pod-1": "other_namespace", "pod-2": None}
    assert registry.find("sql") is None
    assert [str(fault) for fault in pods.faults()] == [
        "model m: has pods in namespaces b, a; those of b serve it (discovery.kubernetes.model_scope: strict)"
    ]
    pods.put("s/b", info(2, namespace="b", excluded="not_ready"))
    assert serving(registry) == []
    assert len([line for line in log() if "has pods in namespaces" in line]) == 1


def test_the_next_one_takes_over(registry):
    pods = Strict(registry, ["b", "a"])
    pods.put("s/a", info(1, namespace="a"), info(3, namespace="a"))
    pods.put("s/b", info(2, namespace="b"))
    pods.remove("s/b", "uid-2")
    assert serving(registry) == ["pod-1", "pod-3"]
    assert pods.faults() == []
    pods.retain("s/a", set())
    assert registry.models()["m"] == ()


def test_a_pod_changes_its_model(registry):
    pods = Strict(registry)
    pods.put("s", info(1, namespace="a"), info(2, namespace="b"))
    assert serving(registry) == ["pod-1"]
    pods.put("s", info(1, "other", namespace="a"))
    assert serving(registry) == ["pod-2"]
    assert serving(registry, "other") == ["pod-1"]


def test_namespaces_that_nobody_listed_come_by_name(registry):
    pods = Strict(registry, ["z"])
    pods.put("s", info(1, namespace="b"), info(2, namespace="a"))
    assert serving(registry) == ["pod-2"]
    pods.put("s", info(3, namespace="z"))
    assert serving(registry) == ["pod-3"]


def test_a_pod_in_two_streams(registry):
    pods = Strict(registry)
    pods.put("one", info(1))
    pods.put("two", info(1))
    pods.remove("one", "uid-1")
    pods.remove("one", "unknown")
    assert serving(registry) == ["pod-1"]
    pods.remove("two", "uid-1")
    assert serving(registry) == []
