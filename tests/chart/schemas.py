"""Kubernetes' own schemas: strict, so that an unknown or misplaced field is an error."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
from referencing import Registry, Resource

VERSIONS = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
# kinds of operators and clouds, whose schemas are not Kubernetes': golden renders hold their form
FOREIGN = {
    "BackendConfig",
    "HTTPRoute",
    "PodMonitor",
    "PrometheusRule",
    "ScaledObject",
    "ServiceMonitor",
}
_FOLDER = files("kubernetes_validate").joinpath("kubernetes-json-schema")


@cache
def _definitions(version: str) -> Any:
    return json.loads(_folder(version).joinpath("_definitions.json").read_text())


@cache
def _folder(version: str) -> Any:
    (folder,) = [f for f in _FOLDER.iterdir() if f.name.startswith(f"v{version}.") and f.name.endswith("-strict")]
    return folder


@cache
def _validator(version: str, kind: str, api: str) -> jsonschema.Draft202012Validator:
    group, _, number = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], number) if part)
    schema = json.loads(_folder(version).joinpath(f"{name}.json").read_text())
    registry = Resource.from_contents(schema) @ Registry()
    registry = Resource.from_contents(_definitions(version)) @ registry
    return jsonschema.Draft202012Validator(schema, registry=registry)


@cache
def _faults(text: str) -> tuple[str, ...]:
    item = json.loads(text)
    found = []
    for version in VERSIONS:
        for error in _validator(version, item["kind"], item["apiVersion"]).iter_errors(item):
            found.append(f"Kubernetes {version}: {error.json_path}: {error.message[:300]}")
    return tuple(found)


def schema_faults(item: dict[str, Any]) -> tuple[str, ...]:
    """Return what the schemas of all versions say of an object; each distinct one is looked at once a process."""
    return () if item["kind"] in FOREIGN else _faults(json.dumps(item, sort_keys=True))
