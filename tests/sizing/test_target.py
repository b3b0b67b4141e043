import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.pod import Address
from aibrix_mw.sizing.target import parse_target


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://127.0.0.1:8000", Address("127.0.0.1", 8000), "/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/", Address("127.0.0.1", 8000), "/v1/chat/completions"),
        ("http://h:1/v1/chat/completions", Address("h", 1), "/v1/chat/completions"),
        ("https://gateway.example/llm/v1", Address("gateway.example", 443, True), "/llm/v1/chat/completions"),
        ("http://[::1]:80/a/b", Address("::1", 80), "/a/b/v1/chat/completions"),
    ],
)
def test_ways_to_write_a_target(url, address, path):
    target = parse_target(url, "chat")
    assert (target.address, target.path) == (address, path)
    assert target.path == target.prefix + "/v1/chat/completions"
    assert target.models_path == target.prefix + "/v1/models"


def test_the_url_as_it_is_shown():
    assert parse_target("https://Gateway.example/llm/v1", "chat").url == "https://gateway.example:443/llm"
    assert parse_target("http://h:1", "completions").path == "/v1/completions"


@pytest.mark.parametrize("url", ["h:8000", "ftp://h", "http://h:1?key=x", "http://", "http://h:99999", "http://a@h"])
def test_what_is_no_target(url):
    with pytest.raises(ConfigurationError):
        parse_target(url, "chat")
