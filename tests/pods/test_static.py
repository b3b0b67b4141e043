"""Endpoints by URL, and pods made of them."""

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.pods.pod import Address
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.static import StaticPods, endpoint_pods, parse_endpoint

# --- endpoints


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://10.0.0.7:8000", Address("10.0.0.7", 8000)),
        ("http://10.0.0.7", Address("10.0.0.7", 80)),
        ("https://Engine.example.org", Address("engine.example.org", 443, tls=True)),
        ("HTTPS://engine.example.org:8443/", Address("engine.example.org", 8443, tls=True)),
        ("http://engine_0.ns.svc.:80", Address("engine_0.ns.svc.", 80)),
        ("http://localhost:1", Address("localhost", 1)),
        ("http://h:65535", Address("h", 65535)),
        ("http://[FD00::7]:8000", Address("fd00::7", 8000)),
        ("https://[::1]", Address("::1", 443, tls=True)),
        ("http://[::ffff:10.0.0.1]", Address("::ffff:10.0.0.1", 80)),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_a_port(url, address):
    assert parse_endpoint(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.7:8000",
        "//10.0.0.7",
        "ftp://h",
        "http:/h",
        "http://",
        "http://:80",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:http",
        "http://h:-1",
        "http://h:٣",
        "http://h/v1",
        "http://h//",
        "http://h?",
        "http://h#x",
        "http://h;x",
        "http:// h",
        "http://h ",
        "http://h\n",
        "http://h\r\nx: y",
        "http://ü.example.org",
        "http://-h",
        "http://fd00::7",
        "http://fd00::7:8000",
        "http://[fd00::7",
        "http://[fd00]:80",
        "http://[10.0.0.7",
        "http://[::1%25eth0]",
        "http://256.0.0.1",
        "http://1.2.3",
    ],
)
def test_anything_else_is_refused_by_name(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_endpoint(url)
    (fault,) = caught.value.faults
    assert fault.path
    assert not url or url.partition("?")[0].partition("#")[0] in fault.path


@pytest.mark.parametrize("url", ["http://me:hush@h:80", "http://h/?token=hush", "http://me:hu@sh@h", "http://h#hush"])
def test_a_secret_in_a_url_is_not_repeated(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_endpoint(url)
    assert "hush" not in str(caught.value)
    assert "hu@sh" not in str(caught.value)
    assert "***" in str(caught.value)


def test_endpoints_become_routable_pods():
    one, two = endpoint_pods("llama", ["http://10.0.0.7:8000", "https://[fd00::7]"], engine="sglang")
    assert (one.uid, one.name, one.model) == ("endpoint/llama/http://10.0.0.7:8000", "10.0.0.7:8000", "llama")
    assert (two.name, two.address, two.engine) == ("[fd00::7]:443", Address("fd00::7", 443, tls=True), "sglang")
    assert one.excluded is two.excluded is None


def test_every_bad_endpoint_is_named():
    with pytest.raises(ConfigurationError) as caught:
        endpoint_pods("llama", ["http://a", "b", "http://a:80/", "http://c/x"])
    assert [fault.path for fault in caught.value.faults] == ["b", "http://a:80/", "http://c/x"]
    assert "is there twice for model llama" in str(caught.value)


def test_static_pods_as_documented():
    registry = StaticPods({"llama": ["http://10.0.0.7:8000"]}, aliases={"gpt-4o": "llama"}).registry
    (pod,) = registry.serving("llama")
    assert pod.address == Address("10.0.0.7", 8000)
    assert registry.serving("gpt-4o") == (pod,)
    served = registry.find("gpt-4o")
    assert served is not None
    assert served.rewrite == served.model
    assert registry.find("other") is None


def test_static_pods_fill_a_registry_of_the_callers():
    registry = PodRegistry()
    assert StaticPods({"a": ["http://a"], "b": []}, registry=registry).registry is registry
    assert len(registry.serving("a")) == 1
    assert registry.find("b") is not None
    assert registry.serving("b") == ()


def test_static_pods_name_all_that_is_wrong():
    with pytest.raises(ConfigurationError) as caught:
        StaticPods({"a": ["x"], "b": ["y"]}, aliases={"n": "nobody", "a": "b"})
    assert [str(fault).partition(": ")[0] for fault in caught.value.faults] == ["alias n", "alias a", "x", "y"]
