"""A pod, from Kubernetes' description of it."""

import json

import msgspec
import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods import manifest
from aibrix_mw.pods.manifest import decode_pod, read_pod
from aibrix_mw.pods.pod import Address
from aibrix_mw.pods.wire import PodManifest
from tests.pods.kube import GROUP, P, netloc, pod, read


@pytest.fixture(autouse=True)
def _forget_warnings():
    manifest._warn_once.cache_clear()


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
