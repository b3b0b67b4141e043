"""Pods as Kubernetes writes them, for tests to change."""

from aibrix_mw.pods.manifest import read_pod

P = "model.aibrix.ai/"
GROUP = "stormservice.orchestration.aibrix.ai/pod-group-index"
READY = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}]


def pod(*, labels=None, annotations=None, status=None, **metadata):
    labels = {P + "name": "m", P + "port": "9000"} | (labels or {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "engine-0",
            "namespace": "ns",
            "uid": "u-1",
            "labels": {key: value for key, value in labels.items() if value is not None},
            "annotations": annotations,
        }
        | metadata,
        "spec": {"containers": [{"name": "vllm"}]},
        "status": {"podIP": "10.0.0.1", "phase": "Running", "conditions": READY} if status is None else status,
    }


def read(written, **options):
    info = read_pod(written, **options)
    assert info is not None
    return info


def netloc(info):
    return info.address and info.address.netloc
