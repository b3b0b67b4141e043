"""Pods and the templates of pods."""

import json

from tests.validation.manifests import configured, deployment, pod, told


def test_pods_without_fault(check):
    config = {"profiles": {"default": {"routingStrategy": "least-request:2,session-affinity"}}}
    items = [configured(config, name) for name in ("a", "b")]
    assert check({"kind": "PodList", "items": items}) == check({"kind": "List", "items": items})
    report = check({"kind": "List", "items": items})
    assert (report.faults, report.warnings) == ([], [])


def test_what_serve_refuses_of_pods(check):
    items = [pod("a"), pod("a"), pod(""), pod("b", labels={"n": 5}), {"kind": "Pod"}, 7]
    assert told(check({"kind": "List", "items": items})) == [
        "items[1].metadata: pod default/a is there twice",
        "items[2].metadata.name: required",
        "items[3].metadata.labels: n: must be a string: quote the value",
        "items[4].pod: Object missing required field metadata",
        "items[5]: not a Kubernetes object: kind Pod, PodList or List is expected",
    ]


def test_a_pod_that_is_left_out(check):
    report = check(pod(namespace="ns", labels={"model.aibrix.ai/port": "http"}))
    assert told(report) == ["pod ns/p, model m: label model.aibrix.ai/port: not a port (1..65535): the pod is left out"]


def test_labels_in_vain(check):
    labels = {"model.aibrix.ai/metric-port": "0", "model.aibrix.ai/engine": "vlm"}
    report = check(pod(labels=labels))
    assert report.faults == []
    assert report.warnings == [
        "pod default/p, model m: label model.aibrix.ai/metric-port: not a port (1..65535): the serving port is taken",
        "pod default/p, model m: label model.aibrix.ai/engine: not one of vllm, sglang, trtllm: taken for vllm",
    ]
    unlabelled = {"kind": "Pod", "metadata": {"name": "p", "labels": {"model.aibrix.ai/name": "m"}}}
    assert check(unlabelled).warnings == [
        "pod default/p, model m: label model.aibrix.ai/port: absent, port 8000 is assumed"
    ]


def test_annotations_of_pods(check):
    (fault,) = check(configured('{"profiles": ')).faults
    assert fault.path == "pod default/p, model m: annotation model.aibrix.ai/config $"
    assert fault.reason == "not valid JSON: Expecting value (line 1, column 14)"
    report = check(configured({"profiles": {"default": {"routingStrategy": "best"}}, "speed": 1}))
    (fault,) = report.faults
    assert fault.path == "pod default/p, model m: annotation model.aibrix.ai/config $.profiles.default.routingStrategy"
    assert report.warnings == [
        "pod default/p, model m: annotation model.aibrix.ai/config $.speed: unknown key, left out"
    ]


def test_pods_against_each_other(check):
    one = {"profiles": {"one": {}}, "defaultProfile": "one"}
    other = {"profiles": {"other": {}}, "defaultProfile": "other"}
    namesake = pod("c", "n", annotations={"model.aibrix.ai/adapters": "m, free"})
    report = check({"kind": "List", "items": [configured(one, "a"), configured(other, "b"), namesake]})
    assert report.faults == []
    assert report.warnings == [
        "model m: pods disagree about model.aibrix.ai/config: the newest Ready pod decides",
        "model n: adapter m has the name of a model, which keeps it",
    ]


def test_no_pod_names_a_model(check):
    plain = {"kind": "Pod", "metadata": {"name": "p", "annotations": {"model.aibrix.ai/config": "{}"}}}
    report = check({"kind": "List", "items": [plain, {"kind": "Service"}]})
    assert told(report) == [": no pod in it names a model (label or annotation model.aibrix.ai/name)"]
    assert report.warnings == [
        "items[0].metadata.annotations: model.aibrix.ai/config has no effect without label model.aibrix.ai/name"
    ]


def test_no_pod_at_all(check):
    report = check({"apiVersion": "v1", "kind": "List", "items": []})
    assert (report.faults, report.warnings) == ([], ["there is no pod in it"])


# --- pod templates


def test_templates_are_checked_as_their_pods_would_be(check):
    bad = configured({"profiles": {"default": {"requestsPerSecond": "many"}}})
    fault = "annotation model.aibrix.ai/config $.profiles.default.requestsPerSecond: expected an integer, got a string"
    assert told(check(deployment(bad, namespace="ns"))) == [f"pod ns/d, model m: {fault}"]
    assert told(check({"kind": "List", "items": [deployment(bad)]})) == [f"pod default/d, model m: {fault}"]
    roles = {"kind": "StormService", "spec": {"template": {"spec": {"roles": [deployment(bad)["spec"]]}}}}
    assert told(check(roles)) == [f"pod default/stormservice, model m: {fault}"]
    assert check(deployment(pod())).faults == []


def test_template_faults_have_their_path(check):
    text = json.dumps(deployment(pod(labels={"n": 5}))) + "\n---\nkind: Service\n---\n" + json.dumps(pod())
    assert told(check("---\n" + text)) == [
        "document[0].spec.template.metadata.labels: n: must be a string: quote the value"
    ]


def test_annotation_on_the_wrong_object(check):
    report = check(deployment(pod(), annotations={"model.aibrix.ai/config": "{}"}))
    assert report.warnings == ["metadata.annotations: model.aibrix.ai/config has no effect outside the pod template"]


def test_odd_objects_are_no_trouble(check):
    assert told(check({"kind": "Deployment", "metadata": 5, "spec": {"template": {"metadata": 5, "spec": []}}}))
    assert told(check({"kind": "List", "items": 5})) == ["items: must be a list"]
    recursive = "kind: Deployment\nspec: &spec {self: *spec, list: &list [*list]}\n"
    assert told(check(recursive)) == [": no pod in it names a model (label or annotation model.aibrix.ai/name)"]
