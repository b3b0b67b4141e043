"""Annotations, manifests, selectors, keys files, bodies: each is read, or refused by the error that is meant for it."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import ConfigurationError, InvalidRequest
from aibrix_mw.keyfile import read_keys
from aibrix_mw.pods.manifest import decode_pod, read_pods
from aibrix_mw.pods.selector import Selector
from aibrix_mw.profiles import BUILT_IN_PROFILE, parse_config
from aibrix_mw.request import parse_fields
from aibrix_mw.settings import parse_settings
from aibrix_mw.splice import JsonObject
from tests.fuzz.cutting import damaged
from tests.support import ask_for

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
ANYTHING = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
OPTION = st.sampled_from([0, 1, -1, 0.5, 1e400, 2**70, "1", "", "least-request", "a:1,b:2", None, True, [], {}])
PROFILE_KEYS = "routingStrategy requestsPerSecond requestsPerSecondPerReplica requestsInflight routingConfig timeouts x"
PROFILE = st.dictionaries(
    st.sampled_from(PROFILE_KEYS.split()),
    OPTION | st.dictionaries(st.sampled_from(["promptTokensGte", "maxTokensLt", "idle_timeout", "blockBytes"]), OPTION),
    max_size=4,
)
CONFIG = st.fixed_dictionaries(
    {
        "profiles": st.dictionaries(st.sampled_from(["default", "batch", "", " a "]), PROFILE | OPTION, max_size=3)
        | OPTION
    },
    optional={
        "defaultProfile": OPTION,
        "lockedRoutingStrategy": OPTION,
        "requestsPerSecond": OPTION,
        "authoritativeRoutingPolicy": OPTION,
    },
)
KEYS = [
    "model.aibrix.ai/name",
    "model.aibrix.ai/port",
    "model.aibrix.ai/config",
    "model.aibrix.ai/adapters",
    "role-name",
]
LABELS = st.dictionaries(st.sampled_from(KEYS), st.text(max_size=8) | CONFIG.map(json.dumps), max_size=4)
POD = st.fixed_dictionaries(
    {
        "kind": st.just("Pod"),
        "metadata": st.fixed_dictionaries(
            {"name": st.just("p"), "labels": LABELS | ANYTHING},
            optional={
                "annotations": LABELS | ANYTHING,
                "uid": SCALAR,
                "creationTimestamp": SCALAR,
                "deletionTimestamp": SCALAR,
            },
        ),
    },
    optional={
        "status": st.fixed_dictionaries({}, optional={"podIP": SCALAR | st.just("::1"), "conditions": ANYTHING})
        | ANYTHING,
    },
)
TEXTS = st.text(max_size=60) | st.text("{}[]&*!|>-:, \n\t'\"#ab1", max_size=40)


def explain(error):
    """Every fault can be told."""
    assert error.faults
    assert str(error).encode("utf-8")


@st.composite
def written(draw, values):
    """The values as JSON, maybe damaged."""
    return draw(damaged(json.dumps(draw(values)).encode()))


@given(written(CONFIG) | written(ANYTHING) | st.binary(max_size=40) | TEXTS)
def test_annotations(raw):
    try:
        config, _warnings = parse_config(raw)
    except ConfigurationError as error:
        explain(error)
        return
    known = [BUILT_IN_PROFILE, *config.profiles.values()]
    for wanted in (None, "auto", "default", "no such"):
        assert config.select(wanted) in known
        assert config.select(wanted, lambda: 5000, 0) in known


@given(
    written(POD) | written(st.fixed_dictionaries({"kind": st.just("List"), "items": st.lists(POD, max_size=2)})) | TEXTS
)
def test_manifests(raw):
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    for read in (lambda: read_pods(text, "pods.yaml"), lambda: decode_pod(text.encode("utf-8", "replace"))):
        try:
            read()
        except ConfigurationError as error:
            explain(error)


@given(TEXTS | st.text("abin not=!,() ", max_size=20))
def test_selectors(text):
    try:
        selector = Selector(text)
    except ValueError:
        return
    selector.matches({"a": "b"})


@given(
    TEXTS
    | st.binary(max_size=60)
    | written(st.lists(st.dictionaries(st.sampled_from(["name", "sha256", "models"]), ANYTHING)))
)
def test_keys(text):
    try:
        entries = read_keys(text, "keys.yaml")
    except ConfigurationError as error:
        explain(error)
        return
    assert all(entry.key().name for entry in entries)


FIELDS = ["model", "stream", "messages", "prompt", "max_tokens", "tools", "cache_salt", "kv_transfer_params"]


@given(written(st.fixed_dictionaries({"model": st.text(max_size=5)}, optional=dict.fromkeys(FIELDS[1:], ANYTHING))))
def test_bodies(body):
    try:
        request = ask_for(body)
    except InvalidRequest:
        return
    assert request.prompt_tokens == -(-len(request.prompt) // 4)
    try:
        salted = JsonObject(body).edited({"cache_salt": b'"s"'})
        meant = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):  # in a part that only the engine looks at
        return
    assert msgspec.json.decode(salted) == meant | {"cache_salt": "s"}
    assert parse_fields(salted).model == request.model


SECTIONS = st.sampled_from(["listen", "models", "store", "limits", "users", "cors", "x"])
SETTINGS = st.dictionaries(SECTIONS, ANYTHING | CONFIG)


@given(TEXTS | st.binary(max_size=60) | written(SETTINGS))
def test_settings(text):
    faults = parse_settings(text).faults
    assert "; ".join(map(str, faults)).encode("utf-8") or not faults
