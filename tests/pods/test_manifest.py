import json
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods import manifest
from aibrix_mw.pods.documents import says_none
from aibrix_mw.pods.manifest import decode_pod, read_pod, read_pods
from aibrix_mw.pods.pod import Address
from aibrix_mw.pods.wire import PodManifest
from aibrix_mw.profiles import parse_config

P = "model.aibrix.ai/"
DATA = Path(__file__).parents[1] / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"
READY = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}]


@pytest.fixture(autouse=True)
def _forget_warnings():
    manifest._warn_once.cache_clear()


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


# --- one pod


def test_a_ready_pod():
    info = read(
        pod(
            labels={"app": "x"},
            annotations={P + "config": "{}", P + "sglang-bootstrap-port": "8998", "other": "noise"},
            creationTimestamp="2026-11-23T09:00:00Z",
        )
    )
    assert (info.uid, info.name, info.namespace, info.model) == ("u-1", "engine-0", "ns", "m")
    assert info.address == Address("10.0.0.1", 9000)
    assert info.labels == {P + "name": "m", P + "port": "9000", "app": "x"}
    assert info.annotations == {P + "config": "{}", P + "sglang-bootstrap-port": "8998"}
    assert (info.config, info.engine, info.metric_port, info.adapters) == ("{}", "vllm", None, ())
    assert info.created == 1795424400.0
    assert info.excluded is None


@pytest.mark.parametrize(
    ("label", "annotation", "model"),
    [
        ("m", None, "m"),
        ("m", "other/name", "m"),
        (None, "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("", "by-annotation", "by-annotation"),
        (None, " padded ", "padded"),
    ],
)
def test_the_label_names_the_model_else_the_annotation(label, annotation, model):
    annotations = None if annotation is None else {P + "name": annotation}
    assert read(pod(labels={P + "name": label}, annotations=annotations)).model == model


@pytest.mark.parametrize("annotations", [None, {}, {P + "name": "  "}])
def test_a_pod_that_names_no_model_is_none_of_ours(annotations):
    assert read_pod(pod(labels={P + "name": None}, annotations=annotations)) is None


def status(ready="True", **changes):
    conditions = [] if ready is None else [{"type": "Ready", "status": ready}]
    return {"podIP": "10.0.0.1", "phase": "Running", "conditions": conditions} | changes


DELETED = {"deletionTimestamp": "2026-11-23T09:00:00Z"}
GROUP = "stormservice.orchestration.aibrix.ai/pod-group-index"
LEADER = "leaderworkerset.sigs.k8s.io/worker-index"


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [
        ({}, None),
        ({"labels": {GROUP: "0", LEADER: "0", "ray.io/node-type": "head"}}, None),
        ({"labels": {GROUP: "1"}}, "worker"),
        ({"labels": {LEADER: "3"}}, "worker"),
        ({"labels": {LEADER: ""}}, "worker"),
        ({"labels": {"ray.io/node-type": "worker"}}, "worker"),
        ({"labels": {P + "port": "http"}}, "invalid_port"),
        (DELETED, "terminating"),
        ({"status": status("False")}, "not_ready"),
        ({"status": status("Unknown")}, "not_ready"),
        ({"status": status(None)}, "not_ready"),
        ({"status": status(conditions=None)}, "not_ready"),
        ({"status": status(phase="Succeeded")}, "not_ready"),
        ({"status": status(phase="Failed")}, "not_ready"),
        ({"status": {}}, "not_ready"),
        ({"status": status(podIP="")}, "no_address"),
        ({"status": status(podIP=None, podIPs=[])}, "no_address"),
        # the reason that lasts longest is given
        ({"labels": {GROUP: "1", P + "port": "0"}} | DELETED, "worker"),
        ({"labels": {P + "port": "0"}} | DELETED, "invalid_port"),
        ({"status": status("False", podIP="")} | DELETED, "terminating"),
        ({"status": status("False", podIP="")}, "not_ready"),
    ],
)
def test_why_a_pod_takes_no_requests(changes, excluded):
    assert read(pod(**changes)).excluded == excluded


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}, "10.0.0.1:9000"),
        ({"podIP": "fd00::1"}, "[fd00::1]:9000"),
        ({"podIP": None, "podIPs": [{"ip": "fd00::2"}]}, "[fd00::2]:9000"),
    ],
)
def test_the_address_is_the_pods_first_one(given, expected):
    assert netloc(read(pod(status=status(**given)))) == expected


def test_an_excluded_pod_keeps_its_address():
    assert read(pod(**DELETED)).address == Address("10.0.0.1", 9000)
    assert read(pod(labels={P + "port": "x"})).address is None


@pytest.mark.parametrize("port", ["1", "80", "08000", "65535"])
def test_ports(port):
    assert read(pod(labels={P + "port": port})).address == Address("10.0.0.1", int(port))


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+80", "8000.0", "80a", "http", "٣", "9" * 5000])
def test_what_is_no_port_excludes_the_pod_and_is_logged_once(port, caplog):
    for _ in range(3):
        assert read(pod(labels={P + "port": port})).excluded == "invalid_port"
    assert len(caplog.records) == 1
    assert f"pod ns/engine-0, model m: label {P}port: not a port" in caplog.text


def test_an_absent_port_is_8000_with_one_warning_per_model(caplog):
    for name in ("engine-0", "engine-1"):
        assert netloc(read(pod(labels={P + "port": None}, name=name))) == "10.0.0.1:8000"
    assert caplog.messages == [f"model m: pods without label {P}port, port 8000 is assumed"]


@pytest.mark.parametrize(("label", "port", "warned"), [(None, None, 0), ("9100", 9100, 0), ("metrics", None, 1)])
def test_metric_port(label, port, warned, caplog):
    info = read(pod(labels={P + "metric-port": label}))
    assert (info.metric_port, info.excluded, len(caplog.records)) == (port, None, warned)


@pytest.mark.parametrize(
    ("label", "engine", "warned"),
    [(None, "vllm", 0), ("", "vllm", 0), ("sglang", "sglang", 0), ("trtllm", "trtllm", 0), ("abacus", "vllm", 1)],
)
def test_engine(label, engine, warned, caplog):
    assert read(pod(labels={P + "engine": label})).engine == engine
    assert len(caplog.records) == warned


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ()), ("a", ("a",)), (" a , b,,a, m ,", ("a", "b")), (",", ()), ("org/x:1\n,y", ("org/x:1", "y"))],
)
def test_adapters(text, names):
    assert read(pod(annotations={P + "adapters": text})).adapters == names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0.0), ("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T01:00:00+01:00", 0.0), ("1970-01-01T00:01:00", 60.0)],
)
def test_created_is_seconds_since_the_epoch(text, seconds):
    assert read(pod(creationTimestamp=text)).created == seconds


def test_without_uid_and_namespace_the_name_identifies_the_pod():
    info = read(pod(uid=None, namespace=None))
    assert (info.uid, info.namespace) == ("default/engine-0", "default")


@pytest.mark.parametrize("given", [{}, None, {"phase": None}])
def test_without_status_a_pod_is_ready_here_only_where_that_is_assumed(given):
    written = pod() | {"status": given}
    assert read(written).excluded == "not_ready"
    info = read(written, assume_ready=True)
    assert (info.excluded, info.address) == (None, Address("127.0.0.1", 9000))
    assert read(pod(status=status("False")), assume_ready=True).excluded == "not_ready"


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({}, "pod: Object missing required field metadata"),
        ({"metadata": 3}, "metadata: Expected object, got int"),
        ({"metadata": {"labels": []}}, "metadata.labels: Expected object | null, got array"),
        ({"metadata": {"labels": {P + "port": 8000}}}, f"metadata.labels: {P}port: must be a string: quote the value"),
        ({"metadata": {"annotations": {1: "x"}}}, "metadata.annotations: 1: must be a string: quote the value"),
        (pod(name=""), "metadata.name: required"),
        (pod(name=7), "metadata.name: Expected str, got int"),
        (pod(creationTimestamp="today"), "metadata.creationTimestamp: Invalid RFC3339 encoded datetime"),
        (pod(status={"podIP": "localhost"}), "status.podIP: not an IP address: 'localhost'"),
        (pod(status={"conditions": [{"type": 1}]}), "status.conditions[0].type: Expected str, got int"),
    ],
)
def test_wrong_types_are_faults_with_their_path(written, fault):
    with pytest.raises(ConfigurationError) as caught:
        read_pod(written)
    assert [str(fault) for fault in caught.value.faults] == [fault]


# --- JSON


def test_decode_agrees_with_read():
    written = pod(creationTimestamp="2026-11-23T09:00:00Z", annotations={P + "adapters": "a,b"})
    raw = json.dumps(written).encode()
    assert decode_pod(raw) == read_pod(written) == read_pod(msgspec.json.decode(raw, type=PodManifest))
    assert decode_pod(json.dumps(pod(labels={P + "name": None})).encode()) is None


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "pod: Input data was truncated"),
        (b"[]", "pod: Expected object, got array"),
        (b'{"metadata":{"name":"\xff"}}', "pod: 'utf-8' codec"),
        (b'{"metadata":{"labels":{"a":5}}}', "metadata.labels[...]: Expected str, got int"),
        (b'{"metadata":{},"spec":' + b"[" * 50_000, "pod: maximum recursion depth"),
    ],
)
def test_decode_of_what_is_no_pod(raw, fault):
    with pytest.raises(ConfigurationError) as caught:
        decode_pod(raw)
    assert str(caught.value).startswith(fault)


# --- files


@pytest.mark.parametrize("name", ["pods-kubectl.yaml", "pods-kubectl.json"])
def test_what_kubectl_prints_is_accepted_as_it_is(name, caplog):
    pods, faults = read_pods((DATA / name).read_text(), name)
    assert faults == []
    assert caplog.records == []
    assert [(p.name, p.model, netloc(p), p.excluded) for p in pods] == [
        ("sample-chat-5d9c7-bq2xk", "sample-chat", "10.244.1.17:8000", None),
        ("sample-chat-5d9c7-zt8wn", "sample-chat", "10.244.2.9:8000", None),
        ("sample-chat-5d9c7-loading", "sample-chat", "10.244.2.31:8000", "not_ready"),
        ("sample-chat-5d9c7-pending", "sample-chat", None, "not_ready"),
        ("sample-chat-4b1aa-leaving", "sample-chat", "10.244.1.4:8000", "terminating"),
        ("llama-8b-0", "meta-llama/Llama-3.1-8B", "10.244.1.23:8000", None),
        ("sample-embed-6f77b-v6net", "sample-embed", "[fd00:10:244:2::3a]:8080", None),
        ("sample-large-0", "sample-large", "10.244.1.40:8000", None),
        ("sample-large-0-1", "sample-large", "10.244.2.41:8000", "worker"),
    ]
    assert pods[0].adapters == ("support-tone", "legal-tone")
    assert pods[1].metric_port == 8001
    assert pods[1].created > pods[0].created > 0
    assert parse_config(pods[0].annotations[P + "config"])[1] == ()
    assert len({p.uid for p in pods}) == 9


def test_the_example_has_two_ready_pods():
    pods, faults = read_pods((EXAMPLES / "pods.yaml").read_text(), "pods.yaml")
    assert faults == []
    assert [(p.model, netloc(p), p.excluded) for p in pods] == [
        ("my-model", "127.0.0.1:9001", None),
        ("my-model", "127.0.0.1:9002", None),
    ]
    config, warnings = parse_config(pods[0].annotations[P + "config"])
    assert (set(config.profiles), warnings) == ({"default", "batch"}, ())
    assert pods[0].config == pods[1].config


def names(text):
    pods, faults = read_pods(text, "f")
    assert faults == []
    return [pod.name for pod in pods]


def dump(*documents):
    return yaml.safe_dump_all(documents)


def test_single_pods_lists_and_documents():
    a, b, c = (pod(name=name, uid=None) for name in "abc")
    service = {"kind": "Service", "metadata": {"name": "s"}}
    bare = {key: value for key, value in c.items() if key != "kind"}
    assert names(dump(a)) == ["a"]
    assert names(json.dumps(a)) == ["a"]
    assert names(dump(a, b)) == ["a", "b"]
    assert names("---\n---\n" + dump(service, {"kind": "List", "items": [service, a]}, b)) == ["a", "b"]
    assert names(dump({"kind": "PodList", "items": [bare, a]}, {"kind": "List", "items": None})) == ["c", "a"]
    assert names("{kind: List, items: [" + json.dumps(a) + "]}  # flow YAML") == ["a"]


def test_yaml_1_1_dates_stay_strings():
    text = dump(pod()).replace("name: engine-0", "name: engine-0\n  creationTimestamp: 2026-11-23T09:00:00Z")
    pods, faults = read_pods(text.replace("labels:", "labels:\n    built: 2026-11-23"), "f")
    assert faults == []
    assert pods[0].created == 1795424400.0
    assert pods[0].labels["built"] == "2026-11-23"


@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_an_empty_list_says_that_there_are_none(kind):
    assert read_pods(f"kind: {kind}\nitems: []", "f") == ([], [])


UNQUOTED = "must be a string: quote the value"
LIST = {"kind": "List", "items": [pod(), pod(uid="u-2"), {"kind": "Secret"}, pod(uid="u-3", labels={P + "port": 8000})]}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", [f"f: no pod in it names a model (label or annotation {P}name)"]),
        ("kind: List\nitems: [{kind: Service}]", [f"f: no pod in it names a model (label or annotation {P}name)"]),
        ("kind: Deployment", [f"f: no pod in it names a model (label or annotation {P}name)"]),
        (dump(LIST), [f"f: items[3].metadata.labels: {P}port: {UNQUOTED}"]),
        (
            dump(pod(uid="u-0"), LIST),
            [f"f: document[1].items[3].metadata.labels: {P}port: must be a string: quote the value"],
        ),
        (json.dumps({"kind": "List", "items": [pod(), pod()]}), ["f: items[1].metadata: pod u-1 is there twice"]),
        (dump(pod(), pod()), ["f: document[1].metadata: pod u-1 is there twice"]),
        ("kind: Pod", ["f: pod: Object missing required field metadata"]),
        ("kind: List\nitems: {}", ["f: items: must be a list"]),
        ("items: []", ["f: kind: required: Pod, PodList or List"]),
        ("kind: 7", ["f: kind: required: Pod, PodList or List"]),
        ("kind: List\nitems: [{}]", ["f: items[0].kind: required: Pod, PodList or List"]),
        ("just text", ["f: not a Kubernetes object: kind Pod, PodList or List is expected"]),
        ("kind: List\nitems: [5]", ["f: items[0]: not a Kubernetes object: kind Pod, PodList or List is expected"]),
        ("a: b: c", ["f: not YAML: line 1, column 5: mapping values are not allowed in this context"]),
        ('{"kind": "Pod",', ["f: not YAML: line 2, column 1: did not find expected node content"]),
        ("a: *b", ["f: not YAML: line 1, column 4: found undefined alias"]),
        ("a: !!int x", ["f: not YAML: invalid literal for int() with base 10: 'x'"]),
        ("[" * 201, ["f: not YAML: more than 200 levels deep"]),
        ("a: !!bool x", ["f: not YAML: 'x'"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_path(text, faults):
    assert [str(fault) for fault in read_pods(text, "f")[1]] == faults


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "\ud800",
        "[" * 1_000_000,
        "- " * 1_000_000,
        "!!python/object:os.system x",
        "a: !!timestamp x",
        "? [a]\n: b",
        "&a [*a]",
    ],
)
def test_hostile_text_is_a_fault(text):
    assert read_pods(text, "f")[1]


def test_the_good_pods_of_a_faulty_file_are_read_all_the_same():
    pods, faults = read_pods(dump(LIST), "f")
    assert [pod.uid for pod in pods] == ["u-1", "u-2"]
    assert len(faults) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def perhaps(**fields):
    return st.fixed_dictionaries({}, optional={key: value | VALUES for key, value in fields.items()})


STRINGS = st.dictionaries(
    st.sampled_from([P + "name", P + "port", P + "adapters", GROUP]), st.text(max_size=4) | VALUES
)
METADATA = perhaps(name=st.text(max_size=3), namespace=st.none(), uid=st.none(), labels=STRINGS, annotations=STRINGS)
PODS = perhaps(kind=st.just("Pod"), metadata=METADATA, status=perhaps(podIP=st.just("::1"), conditions=st.just(READY)))
LISTS = perhaps(kind=st.sampled_from(["List", "PodList"]), items=st.lists(PODS | VALUES, max_size=3))


@given(st.lists(PODS | LISTS | VALUES, max_size=2))
def test_any_yaml_is_pods_or_faults(documents):
    pods, faults = read_pods(yaml.safe_dump_all(documents), "f")
    assert pods or faults or says_none([document for document in documents if document is not None])
    assert all(fault.path.startswith("f") and fault.reason for fault in faults)


@given(PODS | LISTS)
def test_any_json_is_pods_or_faults(document):
    pods, faults = read_pods(json.dumps(document, default=str), "f")
    assert pods or faults or says_none([document])


@given(st.text(alphabet="ab:-?[]{}&*!|>'\"# \n\t0.,%@", max_size=40))
def test_any_text_is_pods_or_faults(text):
    pods, faults = read_pods(text, "f")
    assert not pods
    assert faults
