"""The fields of a Kubernetes Pod that decide about routing; everything else that it carries is passed over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault


class Metadata(msgspec.Struct, rename="camel"):
    """`metadata` of a pod."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    resource_version: str = ""


class Condition(msgspec.Struct):
    """One of the conditions of a pod's status."""

    type: str = ""
    status: str = ""


class PodIP(msgspec.Struct):
    """One of a pod's addresses."""

    ip: str = ""


class Status(msgspec.Struct, rename={"pod_ip": "podIP", "pod_ips": "podIPs"}):
    """`status` of a pod."""

    pod_ip: str | None = None
    pod_ips: list[PodIP] | None = None
    phase: str | None = None
    conditions: list[Condition] | None = None

    def ip(self) -> str:
        """The pod's first address; empty when it has none yet."""
        return self.pod_ip or next((item.ip for item in self.pod_ips or ()), "")

    def is_ready(self) -> bool:
        """Whether condition Ready is True and the pod has not ended."""
        if self.phase in ("Succeeded", "Failed"):
            return False
        return any(item.type == "Ready" and item.status == "True" for item in self.conditions or ())


class PodManifest(msgspec.Struct):
    """A pod as the Kubernetes API writes it, as far as it matters here. Fit to be a field of a watch event."""

    metadata: Metadata
    status: Status | None = None


_DECODER = msgspec.json.Decoder(PodManifest)


def decode(raw: bytes) -> PodManifest:
    """A pod's JSON. ConfigurationError when it is no pod."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError([_named(error)]) from None


def convert(manifest: Mapping[str, Any]) -> PodManifest:
    """A pod out of decoded YAML or JSON. ConfigurationError when a type is wrong."""
    faults = _not_strings(manifest.get("metadata"))
    if faults:
        raise ConfigurationError(faults)
    try:
        return msgspec.convert(manifest, PodManifest)
    except msgspec.ValidationError as error:
        raise ConfigurationError([_named(error)]) from None


def _not_strings(metadata: object) -> list[Fault]:
    """Labels and annotations that YAML reads as numbers, booleans or null, each by its name."""
    if not isinstance(metadata, Mapping):
        return []
    return [
        Fault(f"metadata.{section}", f"{key}: must be a string: quote the value")
        for section in ("labels", "annotations")
        if isinstance(metadata.get(section), Mapping)
        for key, value in metadata[section].items()
        if not isinstance(key, str) or not isinstance(value, str)
    ]


def _named(error: Exception) -> Fault:
    """Split the path off the decoder's message."""
    reason, _, path = str(error).partition(" - at ")
    return Fault(path.replace("`", "").removeprefix("$").removeprefix(".") or "pod", reason.replace("`", ""))
