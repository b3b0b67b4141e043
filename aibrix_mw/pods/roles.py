"""What a pod's labels say of its part in disaggregated requests."""

import logging
from functools import lru_cache

import msgspec

from aibrix_mw.pods.pod import PodInfo

logger = logging.getLogger("aibrix_mw")

ROLE = "role-name"
ROLESET = "roleset-name"
COMPATIBILITY = "model.aibrix.ai/pd-compatibility"
CONNECTOR = "model.aibrix.ai/kv-connector-type"
BOOTSTRAP_PORT = "model.aibrix.ai/sglang-bootstrap-port"

DEFAULT_CONNECTOR = "nixl"
DEFAULT_BOOTSTRAP_PORT = 8998


class Role(msgspec.Struct, frozen=True):
    """A pod's part: `name` is `prefill` or `decode`, `roleset` the group within which KV caches travel.

    `kind` (engine and connector) must be equal for a pair; so must `compatibility`, where None is equal to anything.
    """

    name: str
    roleset: str
    kind: tuple[str, str]
    compatibility: str | None


def role_of(info: PodInfo) -> Role | None:
    """The pod's part; None for a pod that serves whole requests."""
    labels = info.labels
    name, roleset = labels.get(ROLE), labels.get(ROLESET)
    if not roleset or name not in {"prefill", "decode"}:
        return None
    assert name is not None
    return Role(name, roleset, (info.engine, connector_name(info)), labels.get(COMPATIBILITY) or None)


def connector_name(info: PodInfo) -> str:
    """By which connector KV caches travel: the label's word on vLLM, the engine's own way on others."""
    if info.engine != "vllm":
        return info.engine
    return info.labels.get(CONNECTOR) or DEFAULT_CONNECTOR


def bootstrap_port(info: PodInfo) -> int:
    """Where SGLang's prefill pods hand over; 8998 unless the annotation says otherwise."""
    text = info.annotations.get(BOOTSTRAP_PORT)
    if text is None:
        return DEFAULT_BOOTSTRAP_PORT
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535:
        return int(text)
    _warn_once(
        f"pod {info.namespace}/{info.name}: annotation {BOOTSTRAP_PORT}: not a port (1..65535): {text!r}; "
        f"{DEFAULT_BOOTSTRAP_PORT} is taken"
    )
    return DEFAULT_BOOTSTRAP_PORT


@lru_cache(maxsize=1024)
def _warn_once(text: str) -> None:
    logger.warning("%s", text)
