"""Who pairs with whom (F74)."""

import json

import pytest

from aibrix_mw.pods.pod import Pod
from aibrix_mw.strategies.formation import ANY, Bounds, Formation, bounds_of
from tests.legs import leg

VERSION = "model.aibrix.ai/pd-compatibility"
CONNECTOR = "model.aibrix.ai/kv-connector-type"


def pods(*infos):
    return [Pod(info) for info in infos]


def pairs(formation):
    """Pod numbers that may serve one request together."""
    return {
        (prefill.info.name[4:], decode.info.name[4:])
        for group in formation.groups
        for prefill in group.prefills
        for decode in group.decodes
    }


def version(mark):
    return {"labels": {VERSION: mark}}


@pytest.mark.parametrize(
    ("infos", "expected", "why"),
    [
        ([leg(1, "prefill"), leg(2, "decode")], {("1", "2")}, None),
        ([leg(1, "prefill", "a"), leg(2, "decode", "b")], set(), "incomplete"),
        ([leg(1, "prefill")], set(), "incomplete"),
        ([leg(1, None), leg(2, None)], set(), "incomplete"),
        ([leg(1, "prefill", **version("1")), leg(2, "decode", **version("2"))], set(), "incompatible"),
        ([leg(1, "prefill", **version("1")), leg(2, "decode", **version("1"))], {("1", "2")}, None),
        ([leg(1, "prefill", **version("1")), leg(2, "decode")], {("1", "2")}, None),
        (
            [leg(1, "prefill"), leg(2, "prefill", **version("1")), leg(3, "decode", **version("2")), leg(4, "decode")],
            {("1", "3"), ("1", "4"), ("2", "4")},
            None,
        ),
        ([leg(1, "prefill", engine="sglang"), leg(2, "decode")], set(), "incomplete"),
        ([leg(1, "prefill", labels={CONNECTOR: "shfs"}), leg(2, "decode")], set(), "incomplete"),
        (
            [leg(1, "prefill"), leg(2, "decode"), leg(3, "prefill", "b"), leg(4, "decode", "b"), leg(5, "decode", "c")],
            {("1", "2"), ("3", "4")},
            None,
        ),
    ],
)
def test_pairs(infos, expected, why):
    formation = Formation(pods(*infos), "default")
    assert pairs(formation) == expected
    if why is not None:
        assert formation.why == why


def test_who_can_serve_alone():
    combined = json.dumps({"profiles": {"default": {"routingConfig": {"combined": True}}}})
    infos = [leg(1, "prefill"), leg(2, "decode"), leg(3, "decode", engine="sglang"), leg(4, None)]
    infos += [leg(5, None, config=combined), leg(6, "decode", config=combined)]
    formation = Formation(pods(*infos), "default")
    assert [pod.uid for pod in formation.lone] == ["uid-2", "uid-4"]
    assert [pod.uid for pod in formation.decodes] == ["uid-2", "uid-3"]
    assert [pod.uid for pod in formation.combined] == ["uid-5", "uid-6"]


def test_bounds_are_those_of_the_profile_else_of_the_default_one():
    routing = {"combined": True, "promptLenBucketMinLength": 5, "promptLenBucketMaxLength": 9}
    config = {"defaultProfile": "short", "profiles": {"long": {"routingConfig": routing}, "short": {}}}
    text = json.dumps(config)
    assert bounds_of(text, "long") == Bounds(True, 5, 9)
    assert bounds_of(text, "short") == bounds_of(text, "nobody's") == ANY
    assert bounds_of(None, "long") == bounds_of("{", "long") == ANY


@pytest.mark.parametrize(("tokens", "fits"), [(4, False), (5, True), (9, True), (10, False)])
def test_bounds_are_inclusive(tokens, fits):
    assert Bounds(False, 5, 9).fits(tokens) is fits
