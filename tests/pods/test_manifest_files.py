"""Files of pods: what kubectl prints, and what people and chance write."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.pods import manifest
from aibrix_mw.pods.documents import says_none
from aibrix_mw.pods.manifest import read_pods
from aibrix_mw.profiles import parse_config
from tests.pods.kube import GROUP, READY, P, netloc, pod

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _forget_warnings():
    manifest._warn_once.cache_clear()


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
