"""What holds of every object that the chart renders, whatever the values."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from aibrix_mw.profiles import parse_config
from aibrix_mw.settings.reading import parse_settings
from tests.chart.rendering import Object, find
from tests.chart.schemas import schema_faults

CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}
STABLE = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
WORKLOADS = {"Deployment", "StatefulSet"}
# kinds whose names may hold dots and be longer: Secrets and the like are left out on purpose, 63 is right for all
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")


def templates(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Yield each object that makes pods, with its pod template; a Pod is its own."""
    for item in objects:
        if item["kind"] in WORKLOADS:
            yield item, item["spec"]["template"]
        elif item["kind"] == "Pod":
            yield item, item


def pod(objects: Sequence[Object], kind: str, name: str) -> Any:
    """Return the pod spec of a workload."""
    (found,) = [template["spec"] for item, template in templates(find(objects, kind, name))]
    return found


def faults(objects: Sequence[Object], namespaces: Sequence[str] = ("llm",)) -> list[str]:
    """Return everything that is wrong with a release's objects."""
    found = [f"{_title(item)}: {fault}" for item in objects for fault in _object_faults(item, namespaces)]
    identities = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    found += [f"{identity}: twice" for identity in set(identities) if identities.count(identity) > 1]
    for item, template in templates(objects):
        found += [f"{_title(item)}: {fault}" for fault in _pod_faults(template)]
    found += _selection_faults(objects)
    return found


def _title(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def _object_faults(item: Object, namespaces: Sequence[str]) -> Iterator[str]:
    metadata = item["metadata"]
    yield from schema_faults(item)
    if not NAME.fullmatch(metadata["name"]):
        yield "not a name of at most 63 characters"
    if item["kind"] == "Service" and not metadata["name"][0].isalpha():
        yield "a Service's name begins with a letter"
    if item["kind"] in CLUSTER_WIDE:
        if "namespace" in metadata:
            yield "a namespace, and no namespaced kind"
    elif metadata.get("namespace") not in namespaces:
        yield f"namespace {metadata.get('namespace')}"
    yield from _metadata_faults(metadata)
    if missing := STABLE - metadata["labels"].keys():
        yield f"without labels {missing}"


def _metadata_faults(metadata: Any) -> Iterator[str]:
    for key, value in metadata.get("labels", {}).items():
        if not isinstance(value, str) or not LABEL.fullmatch(value):
            yield f"label {key}: {value!r}"
    for key, value in (metadata.get("annotations") or {}).items():
        if not isinstance(value, str):
            yield f"annotation {key}: {value!r} is no string"
        if key == "model.aibrix.ai/config":
            _, warnings = parse_config(value)
            yield from (f"annotation {key}: {warning}" for warning in warnings)


def _pod_faults(template: Object) -> Iterator[str]:
    yield from _metadata_faults(template["metadata"])
    spec = template["spec"]
    if spec.get("enableServiceLinks") is not False:
        yield "Services of the namespace become variables such as VLLM_PORT"
    for container in spec["containers"]:
        image = container["image"]
        if image.endswith(":latest") or not re.search(r":[^/]+$|@sha256:", image):
            yield f"image {image} is not pinned"


def _selection_faults(objects: Sequence[Object]) -> Iterator[str]:
    """Selectors hold only what never changes, each selects its own pods and no other workload's."""
    pods = [(item, template["metadata"]["labels"]) for item, template in templates(objects)]
    for item in objects:
        if item["kind"] not in {*WORKLOADS, "PodDisruptionBudget", "Service"}:
            continue
        selector = item["spec"]["selector"]
        selector = selector if item["kind"] == "Service" else selector["matchLabels"]
        if selector.keys() != STABLE:
            yield f"{_title(item)}: selects by {sorted(selector)}"
        chosen = {_title(owner) for owner, labels in pods if selector.items() <= labels.items()}
        if len(chosen) != 1 or (item["kind"] in WORKLOADS and chosen != {_title(item)}):
            yield f"{_title(item)}: selects {sorted(chosen)}"


def restricted_faults(spec: Any) -> Iterator[str]:
    """Yield what Pod Security's level *restricted* does not admit of a pod spec (and a root that can be written)."""
    context = spec.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("runAsUser", 1) == 0:
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "no seccomp profile"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for volume in spec.get("volumes", []):
        if kinds := volume.keys() - {"name"} - allowed:
            yield f"volume {volume['name']}: {kinds}"
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        yield from (f"container {container['name']}: {fault}" for fault in _container_faults(container))


def _container_faults(container: Any) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain privileges"
    if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get("add", []):
        yield "keeps capabilities"
    if context.get("runAsNonRoot", True) is False or context.get("runAsUser", 1) == 0:
        yield "may run as root"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write its root file system"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "a host port"


def settings_of(objects: Sequence[Object]) -> Any:
    """Return the gateway's settings as the ConfigMap has them; None without a gateway."""
    maps = [item for item in find(objects, "ConfigMap") if "settings.yaml" in item["data"]]
    return yaml.safe_load(maps[0]["data"]["settings.yaml"]) if maps else None


def settings_faults(objects: Sequence[Object]) -> list[str]:
    """Return what the gateway would say of the settings that the chart gives it."""
    maps = [item for item in find(objects, "ConfigMap") if "settings.yaml" in item["data"]]
    checked = [parse_settings(item["data"]["settings.yaml"], "") for item in maps]
    return [str(fault) for settings in checked for fault in settings.faults]
