"""What `validate` recognises, and what it finds in it."""

import json
from pathlib import Path

import pytest

from aibrix_mw.validation import validate_file

DATA = Path(__file__).parent / "data"
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def check(tmp_path):
    """Validate a text (or the JSON of an object) as a file."""

    def check(content):
        file = tmp_path / "file"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        return validate_file(file)

    return check


def told(report):
    return [str(fault) for fault in report.faults]


def pod(name="p", model="m", kind="Pod", **metadata):
    labels = {"model.aibrix.ai/name": model, "model.aibrix.ai/port": "8000"} | metadata.pop("labels", {})
    return {"kind": kind, "metadata": {"name": name, "labels": labels, **metadata}}


def configured(config, name="p", **metadata):
    text = config if isinstance(config, str) else json.dumps(config)
    return pod(name, annotations={"model.aibrix.ai/config": text}, **metadata)


def deployment(template, kind="Deployment", **metadata):
    template = {"metadata": {**template["metadata"], "creationTimestamp": None}, "spec": {"containers": []}}
    return {"kind": kind, "metadata": {"name": "d", **metadata}, "spec": {"template": template}}


# --- what a file is


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("models: {}", "settings"),
        ("routng: {}", "settings"),
        ("", "settings"),
        ("{}", "settings"),
        ("# nothing but a comment", "settings"),
        ('{"profiles": {"default": {}}}', "config annotation"),
        ("profiles: {default: {}}", "config annotation"),
        ("defaultProfile: fast", "config annotation"),
        ("apiVersion: v1", "Kubernetes manifests"),
        ("kind: Pod", "Kubernetes manifests"),
        ("kind: Service\n---\nkind: Pod", "Kubernetes manifests"),
    ],
)
def test_kinds(check, text, kind):
    assert check(text).kind == kind


@pytest.mark.parametrize(
    "text", ["some words", "[1, 2]", "color: blue\nsize: 5", "models: {}\n---\nmodels: {}", '"profiles"', "5: 6"]
)
def test_none_of_them(check, text):
    report = check(text)
    assert report.kind == "unknown"
    assert [fault.path for fault in report.faults] == [""]
    assert report.faults[0].reason.startswith("neither settings")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: [", "not YAML: line 2, column 1: "),
        (b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        ("a: " + "[" * 300, "not YAML: "),
    ],
)
def test_unreadable(check, content, reason):
    (fault,) = check(content).faults
    assert fault.path == ""
    assert fault.reason.startswith(reason)


def test_a_folder_is_no_file(tmp_path):
    assert told(validate_file(tmp_path)) == [": cannot be read: Is a directory"]


@pytest.mark.parametrize("file", [*EXAMPLES.glob("*.yaml"), DATA / "settings" / "documented.yaml"])
def test_files_that_are_valid(file):
    assert validate_file(file).faults == []


# --- settings


def test_settings_tell_every_fault(check):
    report = check(
        """
        listen: {port: 70000, tls_key_file: key.pem}
        models:
          a: {config: {profiles: {}}}
          b: {config: {profiles: {default: {routingStrategy: best}}}, endpoints: [not-a-url]}
        """
    )
    assert [fault.path for fault in report.faults] == [
        "listen.port",
        "listen.tls_key_file",
        "models.b.endpoints[0]",
        "models.a.config $.profiles",
        "models.b.config $.profiles.default.routingStrategy",
    ]


def test_settings_that_only_a_gateway_refuses(check):
    report = check("routing: {default_strategy: best}\nmodels: {m: {endpoints: ['http://10.0.0.999:1']}}")
    assert told(report) == [
        "routing.default_strategy: incorrect routing strategy best: best does not exist",
        "models.m.endpoints: http://10.0.0.999:1: the host is not an IP address",
    ]


def test_settings_with_doubts(check):
    config = {"profiles": {"batch": {"speed": 5}}}
    report = check({"upstream": {"keepalive": 60}, "models": {"m": {"config": config}}})
    assert report.faults == []
    assert [warning.partition(":")[0] for warning in report.warnings] == [
        "upstream.keepalive is not below the 5 s after which vLLM closes idle connections",
        "models.m.config $.profiles.batch.speed",
        "models.m.config $.defaultProfile",
    ]


def test_odd_models_are_no_trouble(check):
    assert check("models: [a]").faults
    assert check("models: {a: 5, b: {config: 5}}").faults
    assert check("models: {a: null}").faults == []


def test_nothing_set_is_doubtful(check):
    assert check("# all comments\n").warnings == ["nothing is set: every setting has its default"]


# --- annotations


def test_annotation_faults_have_json_paths(check):
    assert told(check({"profiles": {"default": {"requestsPerSecond": 1.5}}})) == [
        "$.profiles.default.requestsPerSecond: expected an integer, got a number with a fraction or an exponent"
    ]
    profiles = {"default": {}, "my batch": {"routingStrategy": "a:1,b:2"}}
    report = check({"profiles": profiles, "lockedRoutingStrategy": "worst"})
    assert [fault.path for fault in report.faults] == [
        "$.lockedRoutingStrategy",
        '$.profiles["my batch"].routingStrategy',
    ]


def test_annotation_in_yaml(check):
    report = check("profiles:\n  default: {}\n  default: {}\n  fast: {timeouts: {idle_timeout: 0}}\n")
    assert told(report) == [
        "profiles.default: the key is given twice (lines 2 and 3)",
        "$.profiles.fast.timeouts.idle_timeout: expected a number of seconds > 0",
    ]


def test_annotation_that_gives_a_key_twice_in_json(check):
    report = check('{"profiles": {"default": {}}, "profiles": {"default": {}}}')
    assert report.warnings == ["$: keys given twice in one object, the last one counts: profiles"]


# --- pods


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
