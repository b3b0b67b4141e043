"""Values whose form a type cannot describe."""

import pytest

from aibrix_mw.settings import parse_settings


@pytest.fixture(autouse=True)
def everything_supported(monkeypatch):
    monkeypatch.setattr("aibrix_mw.settings.rules.NOT_YET", ())


def paths(text):
    return [fault.path for fault in parse_settings(text).faults]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("listen: {host: '0.0.0.0:8080'}", "listen.host"),
        ("listen: {host: '[::]'}", "listen.host"),
        ("listen: {admin_host: 'http://x'}", "listen.admin_host"),
        ("listen: {trusted_proxies: [10.0.0.0/8, '*']}", "listen.trusted_proxies[1]"),
        ("listen: {trusted_proxies: [10.0.0.0/40]}", "listen.trusted_proxies[0]"),
        ("store: {url: 'http://h'}", "store.url"),
        ("store: {url: 'localhost:6379'}", "store.url"),
        ("routing: {extra_paths: [rank]}", "routing.extra_paths[0]"),
        ("routing: {extra_paths: ['/a?b']}", "routing.extra_paths[0]"),
        ("routing: {extra_paths: [/healthz]}", "routing.extra_paths[0]"),
        ("cors: {origins: [example.com]}", "cors.origins[0]"),
        ("cors: {origins: ['https://example.com/']}", "cors.origins[0]"),
        ("models: {' ': {}}", "models. "),
        ("models: {a: {aliases: [b]}, b: {}}", "models.a.aliases[0]"),
        ("models: {a: {aliases: [a]}}", "models.a.aliases[0]"),
        ("models: {a: {aliases: [x]}, b: {aliases: [y, x]}}", "models.b.aliases[1]"),
        ("models: {a: {endpoints: ['http://h:1', 'http://h:1']}}", "models.a.endpoints"),
    ],
)
def test_what_is_not_of_the_form(text, path):
    assert paths(text) == [path]


@pytest.mark.parametrize(
    "url",
    [
        "h:8000",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://h:0",
        "http://h:99999",
        "http://h/v1",
        "http://h?a=1",
        "http://h#a",
        "http://u@h",
        "http://u:p@h",
        "http://[::1",
    ],
)
def test_endpoints_are_plain_addresses(url):
    assert paths(f"models: {{a: {{endpoints: ['{url}']}}}}") == ["models.a.endpoints[0]"]
