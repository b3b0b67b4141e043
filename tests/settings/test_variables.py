"""Settings from the environment."""

import pytest

from aibrix_mw.settings import check, load


def told(checked):
    assert (checked.settings is None) == bool(checked.faults)
    return [str(fault) for fault in checked.faults]


@pytest.mark.parametrize(
    ("name", "text", "section", "field", "value"),
    [
        ("LISTEN__PORT", "9000", "listen", "port", 9000),
        ("LISTEN__KEEP_ALIVE", "1.5", "listen", "keep_alive", 1.5),
        ("LISTEN__HOST", "", "listen", "host", None),
        ("LISTEN__HOST", "null", "listen", "host", "null"),
        ("LISTEN__TRUSTED_PROXIES", '["10.0.0.0/8"]', "listen", "trusted_proxies", ("10.0.0.0/8",)),
        ("METRICS__PER_POD", "false", "metrics", "per_pod", False),
        ("METRICS", '{"per_pod": false}', "metrics", "per_pod", False),
        ("LOG__LEVEL", "error", "log", "level", "error"),
    ],
)
def test_variables_become_values_of_their_field(name, text, section, field, value):
    assert getattr(getattr(load(env={f"AIBRIX_MW_{name}": text}), section), field) == value


def test_a_variable_of_a_key_beats_the_one_of_its_section():
    env = {"AIBRIX_MW_ROUTING__ATTEMPTS": "4", "AIBRIX_MW_ROUTING": '{"attempts": 3, "retry_floor": 1}'}
    assert (load(env=env).routing.attempts, load(env=env).routing.retry_floor) == (4, 1)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("LISTEN__PORT", "x", "listen.port: expected an integer, got a string (AIBRIX_MW_LISTEN__PORT)"),
        ("LISTEN__PORT", "70000", "listen.port: expected an integer <= 65535 (AIBRIX_MW_LISTEN__PORT)"),
        ("LISTEN__PORT", "", "listen.port: expected an integer, got a string (AIBRIX_MW_LISTEN__PORT)"),
        ("UPSTREAM__KEEPALIVE", "nan", "upstream.keepalive: expected a number >= 0.0 (AIBRIX_MW_UPSTREAM__KEEPALIVE)"),
        (
            "LOG__LEVEL",
            "loud",
            "log.level: expected one of debug, info, warning, error, critical (AIBRIX_MW_LOG__LEVEL)",
        ),
        ("ROUTING__EXTRA_PATHS", "/a,/b", "routing.extra_paths: expected JSON (AIBRIX_MW_ROUTING__EXTRA_PATHS)"),
        ("ROUTING__EXTRA_PATHS", "[" * 100_000, "routing.extra_paths: expected JSON (AIBRIX_MW_ROUTING__EXTRA_PATHS)"),
        (
            "ROUTING__EXTRA_PATHS",
            "[1]",
            "routing.extra_paths[0]: expected a string, got an integer (AIBRIX_MW_ROUTING__EXTRA_PATHS)",
        ),
        ("ROUTING", '{"attempts": 0}', "routing.attempts: expected an integer >= 1 (AIBRIX_MW_ROUTING)"),
        ("ROUTING", '{"atempts": 0}', "routing.atempts: unknown key; did you mean attempts? (AIBRIX_MW_ROUTING)"),
        ("LISTEN_PORT", "9000", "AIBRIX_MW_LISTEN_PORT: unknown variable; did you mean AIBRIX_MW_LISTEN__PORT?"),
        (
            "ROUTING__ATEMPTS",
            "1",
            "AIBRIX_MW_ROUTING__ATEMPTS: unknown variable; did you mean AIBRIX_MW_ROUTING__ATTEMPTS?",
        ),
        (
            "MODELS__LLAMA__ENGINE",
            "vllm",
            "AIBRIX_MW_MODELS__LLAMA__ENGINE: unknown variable; AIBRIX_MW_MODELS takes all of models as JSON",
        ),
        ("FROBNICATION_OF_WIDGETS", "x", "AIBRIX_MW_FROBNICATION_OF_WIDGETS: unknown variable"),
    ],
)
def test_bad_variables_are_named(name, text, fault):
    assert told(check(env={f"AIBRIX_MW_{name}": text})) == [fault]


def test_variables_that_kubernetes_makes_for_services_of_our_name_are_not_settings():
    env = {
        "AIBRIX_MW_SERVICE_HOST": "10.0.0.1",
        "AIBRIX_MW_SERVICE_PORT": "80",
        "AIBRIX_MW_SERVICE_PORT_HTTP": "80",
        "AIBRIX_MW_PORT": "tcp://10.0.0.1:80",
        "AIBRIX_MW_PORT_80_TCP": "tcp://10.0.0.1:80",
        "AIBRIX_MW_PORT_80_TCP_ADDR": "10.0.0.1",
        "AIBRIX_MW_ADMIN_PORT_8081_TCP_PROTO": "tcp",
        "AIBRIX_MW_ADMIN_SERVICE_PORT": "8081",
        "AIBRIX_MW_ADMIN_PORT": "tcp://10.0.0.2:8081",
    }
    assert told(check(env=env)) == []
    assert told(check(env={"AIBRIX_MW_PORT": "9000"})) != []
