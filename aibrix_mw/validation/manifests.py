"""Kubernetes manifests: pods, lists of them, and the pod templates of whatever makes pods."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.documents import pod_items, says_none, under
from aibrix_mw.pods.manifest import CONFIG, ENGINE, ENGINES, METRIC_PORT, NAME, PORT, read_pod
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.validation.report import Report, check_config

_NO_PORT = "not a port (1..65535)"

Object = Mapping[str, Any]


def check_manifests(documents: list[Any], report: Report) -> None:
    """Check all that names a model; a file in which nothing does is a fault."""
    report.kind = "Kubernetes manifests"
    pods: dict[str, PodInfo] = {}
    for path, item in pod_items(documents, report.faults):
        pod = _check_pod(path, item, report)
        if pod is not None and pod.uid in pods:
            report.faults.append(under(path, Fault("metadata", f"pod {pod.uid} is there twice")))
        elif pod is not None:
            pods[pod.uid] = pod
    templates = [_check_pod(path, item, report) for path, item in _templates(documents, report)]
    if says_none(documents):
        report.warn("", "there is no pod in it")
    elif not (pods or any(templates) or report.faults):
        report.faults.append(Fault("", f"no pod in it names a model (label or annotation {NAME})"))
    _check_models(pods.values(), report)


def _check_pod(path: str, item: Object, report: Report) -> PodInfo | None:
    """Check one pod or pod template; None when it serves no model."""
    try:
        pod = read_pod(item, assume_ready=True)
    except ConfigurationError as error:
        report.faults += [under(path, fault) for fault in error.faults]
        return None
    if pod is None:
        if CONFIG in _annotations(item):
            report.warn(_joined(path, "metadata.annotations"), f"{CONFIG} has no effect without label {NAME}")
        return None
    if pod.config is not None:
        check_config(pod.config, f"{_who(pod)}: annotation {CONFIG}", report)
    _check_labels(pod, report)
    return pod


def _who(pod: PodInfo) -> str:
    return f"pod {pod.namespace}/{pod.name}, model {pod.model}"


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _mapping(value: object) -> Object:
    return value if isinstance(value, Mapping) else {}


def _annotations(item: Object) -> Object:
    return _mapping(_mapping(item.get("metadata")).get("annotations"))


def _check_labels(pod: PodInfo, report: Report) -> None:
    labels, who = pod.labels, _who(pod)
    if pod.excluded == "invalid_port":
        report.faults.append(Fault(f"{who}: label {PORT}", f"{_NO_PORT}: the pod is left out"))
    elif PORT not in labels:
        report.warn(f"{who}: label {PORT}", "absent, port 8000 is assumed")
    if METRIC_PORT in labels and pod.metric_port is None:
        report.warn(f"{who}: label {METRIC_PORT}", f"{_NO_PORT}: the serving port is taken")
    if labels.get(ENGINE) and labels[ENGINE] not in ENGINES:
        report.warn(f"{who}: label {ENGINE}", f"not one of {', '.join(ENGINES)}: taken for {ENGINES[0]}")


def _check_models(pods: Iterable[PodInfo], report: Report) -> None:
    """What pods say against each other."""
    by_model: dict[str, list[PodInfo]] = {}
    for pod in pods:
        by_model.setdefault(pod.model, []).append(pod)
    for model, members in by_model.items():
        if len({pod.config for pod in members if pod.excluded is None}) > 1:
            report.warn(f"model {model}", f"pods disagree about {CONFIG}: the newest Ready pod decides")
        for adapter in sorted({adapter for pod in members for adapter in pod.adapters} & by_model.keys()):
            report.warn(f"model {model}", f"adapter {adapter} has the name of a model, which keeps it")


# --- pod templates: Deployment, StatefulSet, Job, LeaderWorkerSet, StormService, ...


def _templates(documents: list[Any], report: Report) -> Iterator[tuple[str, Object]]:
    """Each pod template with its path, as a pod named after the object that it stands in."""
    for number, document in enumerate(documents):
        path = f"document[{number}]" if len(documents) > 1 else ""
        for where, owner in _objects(document, path):
            if CONFIG in _annotations(owner):
                report.warn(_joined(where, "metadata.annotations"), f"{CONFIG} has no effect outside the pod template")
            metadata = {"name": str(owner.get("kind")).lower(), **_mapping(owner.get("metadata"))}
            named = {key: metadata[key] for key in ("name", "namespace") if isinstance(metadata.get(key), str)}
            for place, template in _pod_templates(owner.get("spec"), _joined(where, "spec"), set()):
                yield place, {"metadata": {**template, **named}}


def _objects(document: object, path: str) -> Iterator[tuple[str, Object]]:
    """The objects of a document that are no pods."""
    if not isinstance(document, Mapping) or document.get("kind") in {"Pod", "PodList"}:
        return
    items = document.get("items")
    if document.get("kind") != "List":
        yield path, document
    elif isinstance(items, list):
        for index, item in enumerate(items):
            yield from _objects(item, _joined(path, f"items[{index}]"))


def _pod_templates(value: object, path: str, seen: set[int]) -> Iterator[tuple[str, Object]]:
    """The metadata of each pod template below `value`; `seen` are objects that a YAML alias may bring again."""
    if id(value) in seen:
        return
    if isinstance(value, list):
        seen.add(id(value))
        for index, item in enumerate(value):
            yield from _pod_templates(item, f"{path}[{index}]", seen)
    elif isinstance(value, Mapping):
        seen.add(id(value))
        spec = value.get("spec")
        if isinstance(spec, Mapping) and "containers" in spec and isinstance(value.get("metadata"), Mapping):
            yield path, value["metadata"]
        else:
            for key, item in value.items():
                yield from _pod_templates(item, f"{path}.{key}", seen)
