"""Where weights and kernels are kept, shared memory, and pods that satisfy level restricted."""

import pytest

from tests.chart.cases_models import ALONE, CLAIM, KEDA, PD, SCALED, model
from tests.chart.checks import restricted_faults
from tests.chart.engines import container, engines, pod, refused, variables
from tests.chart.rendering import find, one, render

NODES = {"cache": {"type": "hostPath", "hostPath": "/var/cache"}}


def volume(name, *parts, **values):
    (found,) = [item for item in pod(*parts, **values)["volumes"] if item["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def test_shared_memory():
    assert volume("shm", shmSize="16Gi") == {"emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}
    assert {"name": "shm", "mountPath": "/dev/shm"} in container()["volumeMounts"]


@pytest.mark.parametrize(
    ("cache", "source"),
    [
        ({}, {"emptyDir": {}}),
        ({"size": "100Gi"}, {"emptyDir": {"sizeLimit": "100Gi"}}),
        (CLAIM["cache"], {"persistentVolumeClaim": {"claimName": "gw-aibrix-mw-engine-llama-cache"}}),
        ({"type": "pvc", "claimName": "weights"}, {"persistentVolumeClaim": {"claimName": "weights"}}),
        (NODES["cache"], {"hostPath": {"path": "/var/cache", "type": "DirectoryOrCreate"}}),
    ],
)
def test_cache(cache, source):
    assert volume("cache", cache=cache) == source


def test_the_cache_is_where_huggingface_and_compilers_look():
    values = {"cache": {"mountPath": "/models"}}
    assert {"name": "cache", "mountPath": "/models"} in container(values)["volumeMounts"]
    assert variables(values)["HF_HOME"].startswith("/models/")


def test_a_claim_is_made_once_for_all_pods_of_a_model():
    claims = find(render(model(PD, CLAIM, cache={"storageClassName": "nfs"})), "PersistentVolumeClaim")
    assert [item["spec"] for item in claims] == [
        {"accessModes": ["ReadWriteMany"], "storageClassName": "nfs", "resources": {"requests": {"storage": "200Gi"}}}
    ]
    assert find(render(model(CLAIM, engine="simulated")), "PersistentVolumeClaim") == []


def test_the_clusters_default_class_is_left_to_the_cluster():
    claim = one(render(model(CLAIM)), "PersistentVolumeClaim")
    assert "storageClassName" not in claim["spec"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"rollout": {"mode": "in-place"}, "replicas": 2},
        {"rollout": {"mode": "in-place"}, **SCALED},
        {"rollout": {"mode": "recreate"}, **KEDA},
        {"rollout": {"mode": "in-place"}, **PD},
    ],
)
@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod"])
def test_a_volume_for_one_pod_is_refused_where_there_would_be_several(mode, values):
    said = refused(ALONE, {"cache": {"accessMode": mode}}, values)
    assert f"cache.accessMode: a {mode} volume is for one pod, and there would be several" in said


@pytest.mark.parametrize("mode", ["in-place", "recreate"])
def test_a_volume_for_one_pod_is_fine_where_there_is_one(mode):
    objects = render(model(ALONE, rollout={"mode": mode}, replicas=1))
    assert one(objects, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_a_new_volume_without_a_size_is_refused():
    assert "models.llama.cache.size: a new volume needs a size" in refused(cache={"type": "pvc"})


def test_a_folder_of_the_nodes_needs_a_name():
    assert "models.llama.cache.hostPath: is empty" in refused(cache={"type": "hostPath"})


def test_a_folder_of_the_nodes_is_refused_for_hardened_pods():
    assert "models.llama.cache.type: hostPath is not allowed with hardened" in refused(NODES, hardened=True)
    said = refused(hardened=True, volumes=[{"name": "x", "hostPath": {"path": "/x"}}])
    assert "models.llama.volumes: hostPath is not allowed with hardened" in said


@pytest.mark.parametrize(
    "values", [{"hardened": True}, {"hardened": True, **CLAIM}, {"hardened": True, **PD}, {"engine": "simulated"}]
)
def test_hardened_pods_satisfy_level_restricted(values):
    for item in engines(render(model(values))).values():
        assert list(restricted_faults(item["spec"]["template"]["spec"])) == []


def test_a_hardened_engine_writes_where_it_may():
    found = variables(hardened=True)
    assert (found["HOME"], found["USER"]) == ("/cache", "vllm")
    assert {"name": "tmp", "mountPath": "/tmp"} in container(hardened=True)["volumeMounts"]
    context = pod(hardened=True, runAsUser=1001)["securityContext"]
    assert (context["runAsUser"], context["fsGroup"], context["fsGroupChangePolicy"]) == (1001, 1001, "OnRootMismatch")


def test_an_engine_that_is_not_hardened_runs_as_its_image_says():
    assert "securityContext" not in pod()
    assert "HOME" not in variables()


def test_further_volumes():
    values = {"volumes": [{"name": "more", "emptyDir": {}}], "volumeMounts": [{"name": "more", "mountPath": "/more"}]}
    assert volume("more", values) == {"emptyDir": {}}
    assert {"name": "more", "mountPath": "/more"} in container(values)["volumeMounts"]
    assert [item["name"] for item in pod(values, engine="simulated")["volumes"]] == ["more"]
