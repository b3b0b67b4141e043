"""Which paths are inference requests."""

import pytest

from aibrix_mw.paths import INFERENCE_PATHS, is_anthropic, route_path


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/v1/completions", "", "/v1/completions"),
        ("/llm/v1/completions", "/llm", "/v1/completions"),
        ("/llm", "/llm", ""),
        ("/llmx/v1", "/llm", "/llmx/v1"),
        ("/v1/completions", "/llm", "/v1/completions"),
    ],
)
def test_the_path_below_the_mount_point(path, root, expected):
    assert route_path({"path": path, "root_path": root}) == expected
    assert route_path({"path": "/x"}) == "/x"


def test_administrative_paths_are_not_inference():
    for path in ("/metrics", "/sleep", "/v1/load_lora_adapter", "/v1/models", "/invocations", "/v1/../metrics"):
        assert path not in INFERENCE_PATHS
    assert len(INFERENCE_PATHS) == 21


def test_anthropic():
    assert is_anthropic("/v1/messages")
    assert is_anthropic("/v1/messages/count_tokens")
    assert not is_anthropic("/v1/messagesx")
    assert not is_anthropic("/v1/chat/completions")
