"""What pods are, as a watch tells it: against a small API server, and a real one where there is one."""

import json
import time

import pytest

from aibrix_mw.pods.manifest import ADAPTERS, CONFIG, GROUP_INDEXES, NAME, PORT, RAY_NODE_TYPE
from tests.support import until

LLAMA = "meta-llama/Llama-3.1-8B"


def strategy(seen, name="m"):
    return seen.registry.find(name).config.profiles["default"].routing_strategy


def annotation(strategy):
    return {CONFIG: json.dumps({"profiles": {"default": {"routingStrategy": strategy}}})}


async def test_pods_come_and_go(cluster, discover):
    await cluster.pod("before")
    seen = await discover(cluster)
    assert seen.serving() == ["before"]
    await cluster.pod("after", ip="127.0.0.2", port="9000")
    await seen.sees("after", "before")
    after = next(pod for pod in seen.registry.serving("m") if pod.info.name == "after")
    assert after.address.netloc == "127.0.0.2:9000"
    await cluster.remove("before")
    await until(lambda: seen.known() == {"after": None})
    assert seen.serving() == ["after"]


async def test_who_may_take_requests(cluster, discover):
    await cluster.pod("ready")
    await cluster.pod("v6", ip="fd00::7")
    await cluster.pod("loading", ready=False)
    await cluster.pod("ray", labels={RAY_NODE_TYPE: "worker"})
    await cluster.pod("rank-1", labels={GROUP_INDEXES[0]: "1"})
    await cluster.pod("rank-2", labels={GROUP_INDEXES[1]: "2"})
    await cluster.pod("rank-0", labels={GROUP_INDEXES[1]: "0"})
    await cluster.pod("no-port", port="http")
    await cluster.core.create_namespaced_pod(
        cluster.namespace,
        {"metadata": {"name": "young", "labels": {NAME: "m"}}, "spec": {"containers": [{"name": "e", "image": "e"}]}},
    )
    seen = await discover(cluster)
    assert seen.serving() == ["rank-0", "ready", "v6"]
    assert seen.known() == {
        "ready": None,
        "v6": None,
        "rank-0": None,
        "loading": "not_ready",
        "young": "not_ready",
        "ray": "worker",
        "rank-1": "worker",
        "rank-2": "worker",
        "no-port": "invalid_port",
    }
    assert {pod.address.netloc for pod in seen.registry.serving("m")} >= {"[fd00::7]:8000"}


async def test_names_that_no_label_holds(cluster, discover):
    await cluster.pod("one", model=None, annotations={NAME: LLAMA, ADAPTERS: "sql"})
    seen = await discover(cluster)
    assert seen.serving(LLAMA) == seen.serving("sql") == ["one"]
    await cluster.describe("one", annotations={NAME: None})
    await seen.sees(model=LLAMA)
    await cluster.describe("one", annotations={NAME: "other"})
    await seen.sees("one", model="other")


async def test_a_name_moves_from_label_to_annotation(cluster, discover):
    """The pod leaves one stream and comes by the other: it is the same, with its requests in flight."""
    await cluster.pod("one")
    seen = await discover(cluster)
    (pod,) = seen.registry.serving("m")
    with pod.lease():
        await cluster.describe("one", labels={NAME: None}, annotations={NAME: "m"})
        await until(lambda: [p.info.labels.get(NAME, "-") for p in seen.registry.serving("m")] == ["-"])
        assert seen.registry.serving("m") == (pod,)
        assert pod.in_flight == 1
    await cluster.describe("one", labels={NAME: "m"})
    await until(lambda: [p.info.labels.get(NAME) for p in seen.registry.serving("m")] == ["m"])
    await cluster.describe("one", labels={PORT: None})
    await until(lambda: [p.info.labels.get(PORT) for p in seen.registry.serving("m")] == [None])
    await cluster.remove("one")
    await seen.sees()


async def test_f52_the_model_label_changes(cluster, discover):
    await cluster.pod("one")
    await cluster.pod("two")
    seen = await discover(cluster)
    await cluster.describe("one", labels={NAME: "other"})
    await seen.sees("one", model="other")
    assert seen.serving() == ["two"]
    await cluster.describe("one", labels={NAME: None})
    await seen.sees(model="other")
    assert seen.registry.find("other").pods == ()


async def test_a_recreated_pod_starts_clean(cluster, discover):
    await cluster.pod("one")
    seen = await discover(cluster)
    (old,) = seen.registry.serving("m")
    with old.lease():
        await cluster.remove("one")
        await seen.sees()
        uid = await cluster.pod("one")
        await seen.sees("one")
        (new,) = seen.registry.serving("m")
        assert (new.uid, new.in_flight) == (uid, 0)
        assert old.in_flight == 1


async def test_f51_an_address_is_used_again(cluster, discover):
    await cluster.pod("one", ip="127.0.0.9")
    seen = await discover(cluster)
    (old,) = seen.registry.serving("m")
    with old.lease():
        await cluster.remove("one")
        uid = await cluster.pod("two", "other", ip="127.0.0.9")
        await seen.sees("two", model="other")
        await seen.sees()
        (new,) = seen.registry.serving("other")
        assert (new.uid, new.in_flight, new.address) == (uid, 0, old.address)


# --- terminating


@pytest.mark.parametrize("last_resort", [False, True])
async def test_f48_terminating_pods(cluster, discover, last_resort):
    await cluster.pod("one")
    await cluster.pod("two")
    seen = await discover(cluster, last_resort=last_resort)
    await cluster.remove("one", grace=30)
    await seen.sees("two")
    assert seen.known() == {"one": "terminating", "two": None}
    await cluster.set_ready("two", False)
    await seen.sees(*(["one"] if last_resort else []))
    await cluster.set_ready("one", False)
    await seen.sees()
    assert seen.known() == {"one": "terminating", "two": "not_ready"}


# --- configuration


async def test_f53_an_invalid_annotation(cluster, discover):
    await cluster.pod("one", annotations=annotation("random"))
    seen = await discover(cluster)
    await cluster.describe("one", annotations=annotation("power-of-two"))
    await until(lambda: strategy(seen) == "power-of-two")
    await cluster.describe("one", annotations={CONFIG: "{"})
    await until(lambda: seen.registry.invalid_configs["m"] == 1)
    assert strategy(seen) == "power-of-two"
    assert seen.serving() == ["one"]
    assert f"pod {cluster.namespace}/one, model m: annotation {CONFIG}" in str(seen.registry.faults()[0])
    await cluster.describe("one", annotations=annotation("random"))
    await until(lambda: not seen.registry.faults())
    assert strategy(seen) == "random"


async def test_the_newest_ready_pod_decides(cluster, discover):
    await cluster.pod("old", annotations=annotation("random"))
    second = int(time.time())
    await until(lambda: int(time.time()) > second)  # creation times are whole seconds
    await cluster.pod("new", annotations=annotation("power-of-two"), ready=False)
    seen = await discover(cluster)
    assert strategy(seen) == "random"
    await cluster.set_ready("new", True)
    await until(lambda: strategy(seen) == "power-of-two")


# --- churn


async def test_readiness_that_comes_and_goes(cluster, discover):
    await cluster.pod("one", ready=False)
    seen = await discover(cluster)
    churn = seen.registry.churn
    await cluster.set_ready("one", True)
    await seen.sees("one")
    assert not churn.transitions
    for ready in (False, True, False):
        await cluster.set_ready("one", ready)
        await seen.sees(*(["one"] if ready else []))
    assert churn.transitions == {("m", "not_ready"): 2, ("m", "ready"): 1}
    (pod,) = seen.registry.models()["m"]
    assert churn.is_flapping(pod.uid)
    await cluster.remove("one")
    await until(lambda: not seen.known())
    assert not churn.is_flapping(pod.uid)
    assert sum(churn.transitions.values()) == 3


# --- namespaces


async def test_one_model_in_two_namespaces(cluster, discover):
    first, second = sorted([cluster.namespace, await cluster.new_namespace()], reverse=True)
    await cluster.pod("one", namespace=first)
    await cluster.pod("two", namespace=second)
    strict = await discover(cluster, namespaces=(first, second))
    pooled = await discover(cluster, namespaces=(first, second), model_scope="cluster")
    named = await discover(cluster, namespaces=(first, second), model_scope="namespace")
    assert strict.known() == {"one": None, "two": "other_namespace"}
    (fault,) = strict.pods.faults()
    assert str(fault).startswith(f"model m: has pods in namespaces {first}, {second}; those of {first} serve it")
    assert pooled.serving() == ["one", "two"]
    assert named.serving(f"{first}/m") == ["one"]
    assert named.registry.find(f"{second}/m").rewrite == "m"
    assert named.registry.find("m") is None
    await cluster.remove("one", namespace=first)
    await strict.sees("two")
    assert strict.pods.faults() == []


async def test_all_namespaces(cluster, discover):
    other = await cluster.new_namespace()
    model = cluster.namespace
    await cluster.pod("one", model)
    await cluster.pod("two", model, namespace=other)
    seen = await discover(cluster, namespaces=(), all_namespaces=True)
    winner = "one" if cluster.namespace < other else "two"
    assert seen.serving(model) == [winner]
