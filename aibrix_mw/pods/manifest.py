"""Kubernetes Pod manifests, from a watch or from a file, as PodInfo.

What the labels, annotations and the status mean is written here; wire.py has the fields, documents.py the files.
"""

import ipaddress
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.documents import load_documents, pod_items, says_none, under
from aibrix_mw.pods.pod import Address, PodInfo
from aibrix_mw.pods.wire import Condition, Metadata, PodManifest, Status, convert, decode

logger = logging.getLogger("aibrix_mw")

PREFIX = "model.aibrix.ai/"
NAME = PREFIX + "name"
PORT = PREFIX + "port"
METRIC_PORT = PREFIX + "metric-port"
ENGINE = PREFIX + "engine"
CONFIG = PREFIX + "config"
ADAPTERS = PREFIX + "adapters"
GROUP_INDEXES = ("stormservice.orchestration.aibrix.ai/pod-group-index", "leaderworkerset.sigs.k8s.io/worker-index")
RAY_NODE_TYPE = "ray.io/node-type"

DEFAULT_PORT = 8000
LOCAL = "127.0.0.1"
ENGINES = ("vllm", "sglang", "trtllm")

_PORT = re.compile(r"[0-9]{1,5}")


_READY_HERE = Status(pod_ip=LOCAL, conditions=[Condition("Ready", "True")])


def decode_pod(raw: bytes) -> PodInfo | None:
    """One pod's JSON; None when it names no model. ConfigurationError when it is no pod."""
    return read_pod(decode(raw))


def read_pod(manifest: Mapping[str, Any] | PodManifest, *, assume_ready: bool = False) -> PodInfo | None:
    """What a manifest says of a pod; None when it names no model. ConfigurationError when a type is wrong.

    With `assume_ready` a pod without `status` counts as Ready on 127.0.0.1; else it is not ready.
    """
    if not isinstance(manifest, PodManifest):
        manifest = convert(manifest)
    labels = manifest.metadata.labels or {}
    annotations = manifest.metadata.annotations or {}
    model = labels.get(NAME) or annotations.get(NAME, "").strip()
    if not model:
        return None
    return _describe(manifest, model, labels, annotations, _status(manifest, assume_ready))


def _status(manifest: PodManifest, assume_ready: bool) -> Status:
    # kubectl prints `status: {}` for a pod that was never sent to a cluster
    if manifest.status is not None and manifest.status != Status():
        return manifest.status
    return _READY_HERE if assume_ready else Status()


def _describe(
    manifest: PodManifest, model: str, labels: dict[str, str], annotations: dict[str, str], status: Status
) -> PodInfo:
    meta = manifest.metadata
    namespace = meta.namespace or "default"
    who = f"pod {namespace}/{_required(meta.name)}, model {model}"
    port = _serving_port(model, who, labels)
    ip = _checked_ip(status.ip())
    excluded = _excluded(meta, labels, status, port)
    return PodInfo(
        uid=meta.uid or f"{namespace}/{meta.name}",
        name=meta.name,
        namespace=namespace,
        model=model,
        address=Address(ip, port) if ip and port else None,
        adapters=_adapters(model, annotations.get(ADAPTERS, "")),
        labels=labels,
        # what other controllers write there is large, and its changes are none of ours
        annotations={key: value for key, value in annotations.items() if key.startswith(PREFIX)},
        engine=_engine(who, labels),
        metric_port=_metric_port(who, labels),
        created=_epoch(meta.creation_timestamp),
        config=annotations.get(CONFIG),
        excluded=excluded,
        last_resort=excluded == "terminating" and status.is_ready() and bool(ip),
    )


def _excluded(meta: Metadata, labels: Mapping[str, str], status: Status, port: int | None) -> str | None:
    """Why the pod takes no requests: the reason that lasts longest comes first."""
    if labels.get(RAY_NODE_TYPE) == "worker" or any(labels.get(key, "0") != "0" for key in GROUP_INDEXES):
        return "worker"
    if port is None:
        return "invalid_port"
    if meta.deletion_timestamp is not None:
        return "terminating"
    if not status.is_ready():
        return "not_ready"
    return None if status.ip() else "no_address"


def _serving_port(model: str, who: str, labels: Mapping[str, str]) -> int | None:
    text = labels.get(PORT)
    if text is None:
        _warn_once(f"model {model}: pods without label {PORT}, port {DEFAULT_PORT} is assumed")
        return DEFAULT_PORT
    port = _port(text)
    if port is None:
        _warn_once(f"{who}: label {PORT}: not a port (1..65535): {text!r}; the pod is left out")
    return port


def _metric_port(who: str, labels: Mapping[str, str]) -> int | None:
    text = labels.get(METRIC_PORT)
    if text is None:
        return None
    port = _port(text)
    if port is None:
        _warn_once(f"{who}: label {METRIC_PORT}: not a port (1..65535): {text!r}; the serving port is taken")
    return port


def _engine(who: str, labels: Mapping[str, str]) -> str:
    engine = labels.get(ENGINE) or ENGINES[0]
    if engine in ENGINES:
        return engine
    _warn_once(f"{who}: label {ENGINE}: unknown engine {engine!r}, taken for {ENGINES[0]}")
    return ENGINES[0]


def _adapters(model: str, text: str) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip() for name in text.split(","))
    return tuple(name for name in names if name and name != model)


def _port(text: str) -> int | None:
    if _PORT.fullmatch(text) is None:
        return None
    port = int(text)
    return port if 1 <= port <= 65535 else None


def _checked_ip(text: str) -> str:
    if text:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ConfigurationError([Fault("status.podIP", f"not an IP address: {text!r}")]) from None
    return text


def _required(name: str) -> str:
    if not name:
        raise ConfigurationError([Fault("metadata.name", "required")])
    return name


def _epoch(moment: datetime | None) -> float:
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=4096)
def _warn_once(text: str) -> None:
    """Log it, however often the manifest comes by: each event of a watch repeats the whole pod."""
    logger.warning("%s", text)


def read_pods(text: str, source: str) -> tuple[list[PodInfo], list[Fault]]:
    """The pods of a file, and all that is wrong in it; never raises.

    YAML of one or several documents, or JSON: kinds Pod, PodList and List; other kinds are passed over, and so are pods
    that name no model. A file in which no pod is left is a fault, rather a mistake than a wish, unless it is a list
    without items.
    """
    faults: list[Fault] = []
    pods: dict[str, PodInfo] = {}
    documents: list[Any] = []
    try:
        documents = load_documents(text)
    except ConfigurationError as error:
        faults += error.faults
    for path, item in pod_items(documents, faults):
        _collect(path, item, pods, faults)
    if not (pods or faults or says_none(documents)):
        faults.append(Fault("", f"no pod in it names a model (label or annotation {NAME})"))
    return list(pods.values()), [under(source, fault, ": ") for fault in faults]


def _collect(path: str, item: Mapping[str, Any], pods: dict[str, PodInfo], faults: list[Fault]) -> None:
    try:
        pod = read_pod(item, assume_ready=True)
    except ConfigurationError as error:
        faults += [under(path, fault) for fault in error.faults]
        return
    if pod is None:
        return
    if pod.uid in pods:
        faults.append(under(path, Fault("metadata", f"pod {pod.uid} is there twice")))
    pods.setdefault(pod.uid, pod)
