"""The chart, rendered by a real Helm."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.tools import ROOT, tool

CHART = ROOT / "chart"
KUBERNETES = "1.34.0"

Object = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """YAML in which a key given twice is an error: the API server would take one of them and not say which."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice: {keys}"
        return super().construct_mapping(node, deep)


class Refused(Exception):
    """Helm refused the values; the text is what it said."""


@cache
def environment() -> dict[str, str]:
    """Variables under which Helm reads and writes nothing of the user's."""
    home = tempfile.mkdtemp(prefix="helm-")
    folders = {f"HELM_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
    return {**os.environ, **folders}


def helm(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run Helm; `text` is its standard input."""
    command = [str(tool("helm")), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, env=environment(), check=False)


def render_text(
    values: Mapping[str, Any] | None = None,
    *flags: str,
    files: Sequence[Path] = (),
    release: str = "gw",
    namespace: str = "llm",
    kubernetes: str = KUBERNETES,
    apis: Sequence[str] = (),
) -> str:
    """Return the YAML text that `helm template` prints for `values` over `files`; Refused where it fails."""
    arguments = ["template", release, str(CHART), "--namespace", namespace, "--kube-version", kubernetes, *flags]
    for api in apis:
        arguments += ["--api-versions", api]
    for file in files:
        arguments += ["--values", str(file)]
    done = helm(*arguments, "--values", "-", text=json.dumps(values or {}, ensure_ascii=False))
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def render(values: Mapping[str, Any] | None = None, *flags: str, **options: Any) -> list[Object]:
    """Return the objects of a release, hooks too."""
    text = render_text(values, *flags, **options)
    return [item for item in yaml.load_all(text, _Loader) if item is not None]


def refusal(values: Mapping[str, Any], **options: Any) -> str:
    """Return what Helm says of values that it must refuse."""
    try:
        render(values, **options)
    except Refused as refused:
        return str(refused)
    raise AssertionError("these values were accepted")


def find(objects: Sequence[Object], kind: str, name: str | None = None) -> list[Object]:
    """Return the objects of a kind, by name where one is given."""
    return [item for item in objects if item["kind"] == kind and name in (None, item["metadata"]["name"])]


def one(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind (and name)."""
    found = find(objects, kind, name)
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(found) == 1, f"{kind} {name or ''}: {len(found)} of {names}"
    return found[0]
