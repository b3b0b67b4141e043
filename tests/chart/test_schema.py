"""Wrong and unknown values fail, each with its path; the file is up to date; the defaults are the package's."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from aibrix_mw.settings import Settings
from tests.chart import schema
from tests.chart.pieces import merged
from tests.chart.rendering import CHART, refusal, render

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
# a null there says something
NULLABLE = {"minAvailable", "maxUnavailable", "terminationGracePeriodSeconds", "cpu", "memory", "grafana_dashboard"}
MODELS = ("models", "modelDefaults")


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value that is no mapping with keys of its own."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def branches(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each mapping."""
    if isinstance(values, dict):
        yield path
        for key, value in values.items():
            yield from branches(value, (*path, key))


def at(path: tuple[str, ...], value: Any) -> Any:
    """Return values in which only `path` is set."""
    for key in reversed(path):
        value = {key: value}
    return value


def wrong(path: tuple[str, ...]) -> Any:
    """Return a value that cannot stand at the path: of no key's type."""
    value: Any = VALUES
    for key in path:
        value = value[key]
    return [1] if isinstance(value, dict) else {"no": "mapping"}


LEAVES = [path for path in leaves(VALUES) if path[0] not in MODELS]
OPEN_MAPS = {"labels", "annotations", "podAnnotations", "podLabels", "commonLabels", "nodeSelector", "affinity"}
OPEN_MAPS |= {"requests", "limits", "matchLabels", "namespaceSelector"}
BRANCHES = [
    path
    for path in branches(VALUES)
    if (path and path[0] not in MODELS and not OPEN_MAPS & set(path[-1:])) or path == ("settings", "limits")
]


def test_file_is_up_to_date():
    assert schema.PATH.read_text() == schema.current(), "python -m tests.chart.schema"


def refused_all(paths, value, sentence):
    """One render with all these wrong: Helm tells of every one; return the paths that it does not tell of."""
    values = merged(*(at(path, value(path)) for path in paths))
    said = refusal(values)
    return [path for path in paths if sentence(path) not in said]


def test_wrong_values():
    assert refused_all(LEAVES, wrong, lambda path: f"at '/{'/'.join(path)}'") == []


def test_unknown_keys():
    def sentence(path):
        return f"at '/{'/'.join(path[:-1])}': additional properties 'nonsense' not allowed"

    assert refused_all([(*path, "nonsense") for path in BRANCHES], lambda _: 1, sentence) == []


def test_unknown_key_at_the_top():
    assert "at '': additional properties 'gatway' not allowed" in refusal({"gatway": {}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gateway/replicas", -1),
        ("gateway/replicas", 1.5),
        ("gateway/replicas", "2"),
        ("gateway/rollout/maxSurge", "1"),
        ("gateway/rollout/maxUnavailable", "101%"),
        ("gateway/autoscaling/minReplicas", 0),
        ("gateway/autoscaling/scaleDownStabilization", 3601),
        ("gateway/terminationGracePeriodSeconds", 0),
        ("gateway/resources/limits/memory", "2 Gi"),
        ("gateway/resources/limits/memory", "lots"),
        ("gateway/podLabels/team", "no label value"),
        ("gateway/podLabels/team", "x" * 64),
        ("image/tag", "latest"),
        ("image/tag", "a b"),
        ("image/digest", "sha256:12"),
        ("image/repository", ""),
        ("fullnameOverride", "x" * 51),
        ("fullnameOverride", "Upper"),
        ("fullnameOverride", "1digit"),
        ("service/port", 0),
        ("service/port", 65536),
        ("service/type", "ExternalName"),
        ("ingress/preset", "traefik"),
        ("ingress/hosts/0", "http://llm.example.com"),
        ("monitoring/interval", "15"),
        ("valkey/persistence/size", "1"),
        ("valkey/image/tag", "latest"),
        ("networkPolicy/egress/apiServerCIDRs/0", "10.0.0.1"),
        ("settings/listen/port", 65536),
        ("settings/log/level", "loud"),
        ("settings/users/records/ann/rpm", 0),
        ("settings/models/m/engine", "llama.cpp"),
        ("settings/shutdown/delay", -1),
        ("settings/routing/client_headers/0", "x-other"),
    ],
)
def test_value_out_of_bounds(path, value):
    keys = path.split("/")
    nested: Any = value
    for key in reversed(keys):
        nested = [nested] if key.isdigit() else {key: nested}
    assert f"at '/{path}'" in refusal(nested)


@pytest.mark.parametrize("reserved", ["app.kubernetes.io/name", "app.kubernetes.io/component", "helm.sh/chart"])
@pytest.mark.parametrize("place", ["commonLabels", "gateway/podLabels", "monitoring/labels"])
def test_labels_of_the_chart_cannot_be_given(place, reserved):
    said = refusal(at(tuple(place.split("/")), {reserved: "x"}))
    assert f"at '/{place}/{reserved.replace('/', '~1')}': false schema" in said


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] == "settings"], ids=".".join)
def test_defaults_of_settings_are_the_packages(path):
    if path == ("settings", "discovery", "kubernetes", "enabled"):
        return  # what a chart is for
    value, own = VALUES, json.loads(msgspec.json.encode({"settings": Settings()}))
    for key in path:
        value, own = value[key], own[key]
    assert value == own


def test_no_value_can_be_taken_away():
    """A null takes a value away in Helm, and then no template may meet a hole."""
    for section in {path[0] for path in LEAVES}:
        paths = [path for path in LEAVES if path[0] == section and path[-1] not in NULLABLE]
        assert refused_all(paths, lambda _: None, lambda path: f"'{path[-1]}'") == []


@pytest.mark.parametrize(
    "path", [("gateway", "podDisruptionBudget", "minAvailable"), ("gateway", "resources", "limits", "memory")]
)
def test_a_null_where_it_has_a_meaning(path):
    assert render(at(path, None))
