"""Which HTTP paths are inference requests. An allow-list: engines have administrative paths beside these."""

from collections.abc import Mapping
from typing import Any

INFERENCE_PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/rerank",
        "/v2/rerank",
        "/rerank",
        "/v1/score",
        "/score",
        "/v1/classify",
        "/classify",
        "/pooling",
        "/tokenize",
        "/detokenize",
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
    }
)

PROBES = ("/healthz", "/readyz")


def route_path(scope: Mapping[str, Any]) -> str:
    """Path below the mount point: `scope["path"]` without `root_path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root:
        return path
    if path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path


def is_anthropic(path: str) -> bool:
    """Whether the path speaks Anthropic's API, whose error bodies have a shape of their own."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")
