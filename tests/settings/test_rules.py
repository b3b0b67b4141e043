import pytest

from aibrix_mw.settings import Settings, parse_settings, reloaded, restart_needed
from aibrix_mw.settings import from_dict as make
from aibrix_mw.settings.rules import NOT_YET, RELOADABLE, RENAMED, RULES, WARNINGS
from aibrix_mw.settings.sifting import known_paths


@pytest.fixture
def everything_supported(monkeypatch):
    monkeypatch.setattr("aibrix_mw.settings.rules.NOT_YET", ())


def paths(text):
    return [fault.path for fault in parse_settings(text).faults]


def test_tables_name_keys_that_exist():
    known = known_paths()
    named = [path for rule in RULES + WARNINGS for path in rule.paths]
    assert [path for path in [*named, *NOT_YET, *RELOADABLE, *RENAMED.values()] if path not in known] == []
    assert [path for path in RENAMED if path in known] == []


@pytest.mark.usefixtures("everything_supported")
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("listen: {tls_cert_file: c}", "listen.tls_cert_file"),
        ("listen: {tls_key_file: k}", "listen.tls_key_file"),
        ("listen: {port: 8081}", "listen.admin_port"),
        ("listen: {port: 8081, host: 0.0.0.0}", "listen.admin_port"),
        ("listen: {port: 8081, host: 127.0.0.1}", "listen.admin_port"),
        ("listen: {port: 8081, host: localhost}", "listen.admin_port"),
        ("listen: {port: 8081, host: 10.0.0.1, admin_host: '0.0.0.0'}", "listen.admin_port"),
        ("listen: {port: 8081, host: gateway, admin_host: gateway}", "listen.admin_port"),
        ("listen: {port: 8081, host: 10.0.0.1, admin_host: null}", "listen.admin_port"),
        ("listen: {port: 8081, host: gateway, admin_host: '::'}", "listen.admin_port"),
        (
            "discovery: {kubernetes: {enabled: true, namespaces: [a], all_namespaces: true}}",
            "discovery.kubernetes.namespaces",
        ),
        ("discovery: {static: {file: f}, kubernetes: {enabled: true}}", "discovery.static.file"),
        ("store: {url: 'redis://h', ca_file: c}", "store.ca_file"),
        ("store: {url: 'redis://u@h', username: v}", "store.username"),
        ("store: {url: 'redis://u@h', password_file: p}", "store.password_file"),
        ("ejection: {base: 400}", "ejection.base"),
        ("ejection: {cap: 10}", "ejection.base"),
        ("limits: {max_replay_bytes: 1000, max_body_bytes: 100}", "limits.max_replay_bytes"),
        ("limits: {max_body_bytes: 1000000000}", "limits.max_buffered_bytes"),
        ("prefix_cache: {isolate: tenant}", "prefix_cache.isolate"),
    ],
)
def test_combinations_that_cannot_be_meant(text, path):
    assert paths(text) == [path]


@pytest.mark.usefixtures("everything_supported")
@pytest.mark.parametrize(
    "text",
    [
        "listen: {tls_cert_file: c, tls_key_file: k}",
        "listen: {port: 0, admin_port: 0}",
        "listen: {admin_host: null}",
        "listen: {port: 8081, host: 10.0.0.1}",
        "listen: {port: 8081, host: '::1'}",
        "listen: {port: 8081, host: 'fe80::1%eth0'}",
        "listen: {port: 8081, host: '0.0.0.0', admin_host: '::1'}",
        "listen: {port: 8081, host: gateway, admin_host: 10.0.0.1}",
        "listen: {trusted_proxies: [10.0.0.1/8, '::1', 'fd00::/8']}",
        "discovery: {kubernetes: {enabled: true, all_namespaces: true}}",
        "store: {url: 'rediss://h', ca_file: c, password_file: p}",
        "store: {url: 'redis+sentinel://a:1,b:2/main'}",
        "limits: {max_body_bytes: 1000}",
        "prefix_cache: {isolate: tenant}\nauth: {keys_file: k}",
        "routing: {extra_paths: [/v1/rank]}",
        "cors: {origins: ['*', 'https://example.com:8443']}",
        "models: {a: {aliases: [x, y], endpoints: ['http://h', 'https://h:443/', 'http://[::1]:8000']}}",
    ],
)
def test_combinations_that_work(text):
    assert parse_settings(text).faults == ()


def test_two_passwords_are_one_too_many(everything_supported):
    store = {"url": "redis://:pw@h", "password_file": "p"}
    with pytest.raises(Exception, match=r"^store.password_file: gives a password, and so does store.url$"):
        make({"store": store})


def test_a_combination_with_a_faulty_part_is_not_judged(everything_supported):
    assert paths("listen: {tls_cert_file: c, tls_key_file: 1}") == ["listen.tls_key_file"]
    assert paths("ejection: {base: 400, cap: x}") == ["ejection.cap"]
    assert paths("ejection: {base: 400}\nscrape: {interval: 0}") == ["scrape.interval", "ejection.base"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "discovery: {kubernetes: {namespaces: [a]}}",
            "discovery.kubernetes has no effect while discovery.kubernetes.enabled is false",
        ),
        ("store: {password_file: p}", "store has no effect while store.url is null"),
        (
            "upstream: {keepalive: 5}",
            (
                "upstream.keepalive is not below the 5 s after which vLLM closes idle "
                "connections: requests will meet closed ones"
            ),
        ),
    ],
)
def test_what_works_and_is_probably_not_meant_is_a_warning(everything_supported, text, warning):
    checked = parse_settings(text)
    assert checked.faults == ()
    assert checked.warnings == (warning,)


def test_what_is_not_supported_is_never_silently_ignored(monkeypatch):
    monkeypatch.setattr("aibrix_mw.settings.rules.NOT_YET", ("scrape", "users.records", "stream.keepalive"))
    checked = parse_settings("scrape: {interval: 2}\nusers: {records: {al: {rpm: 1}}}\nstream: {keepalive: 15}")
    assert [str(fault) for fault in checked.faults] == [
        "scrape.interval: is not supported by this version (line 1)",
        "users.records.al: is not supported by this version (line 2)",
        "stream.keepalive: is not supported by this version (line 3)",
    ]
    assert paths("scrape: {interval: 1}\nusers: {records: {}, trust_header: false}") == []


def test_what_is_not_supported_is_no_part_of_a_combination(monkeypatch):
    monkeypatch.setattr("aibrix_mw.settings.rules.NOT_YET", ("limits.max_buffered_bytes",))
    assert paths("limits: {max_body_bytes: 1000000000}") == []
    assert paths("limits: {max_buffered_bytes: 1000}") == ["limits.max_buffered_bytes"]


def test_only_models_users_and_the_log_level_apply_without_a_restart(everything_supported):
    old = make({"models": {"a": {}, "b": {}}, "log": {"level": "info"}})
    new = make(
        {
            "models": {"a": {"config": {"profiles": {}}}, "c": {}},
            "users": {"trust_header": False, "records": {"al": {"rpm": 1}}},
            "log": {"level": "debug", "access": "all"},
            "limits": {"waiting_room": {"size": 5}},
        }
    )
    assert restart_needed(old, old) == []
    assert restart_needed(old, new) == ["limits.waiting_room.size", "log.access"]
    applied = reloaded(old, new)
    assert (applied.models, applied.users, applied.log.level) == (new.models, new.users, "debug")
    assert (applied.limits, applied.log.access) == (old.limits, "errors")
    assert restart_needed(old, applied) == []


def test_a_changed_default_is_not_needed_for_nothing():
    assert restart_needed(Settings(), make({})) == []
