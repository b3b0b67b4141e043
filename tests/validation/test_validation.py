"""What `validate` recognises, and what it finds in it."""

from pathlib import Path

import pytest

from aibrix_mw.validation import validate_file
from tests.validation.manifests import told

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = Path(__file__).parents[2] / "examples"


# --- what a file is


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("models: {}", "settings"),
        ("routng: {}", "settings"),
        ("", "settings"),
        ("{}", "settings"),
        ("# nothing but a comment", "settings"),
        ('{"profiles": {"default": {}}}', "config annotation"),
        ("profiles: {default: {}}", "config annotation"),
        ("defaultProfile: fast", "config annotation"),
        ("apiVersion: v1", "Kubernetes manifests"),
        ("kind: Pod", "Kubernetes manifests"),
        ("kind: Service\n---\nkind: Pod", "Kubernetes manifests"),
    ],
)
def test_kinds(check, text, kind):
    assert check(text).kind == kind


@pytest.mark.parametrize(
    "text", ["some words", "[1, 2]", "color: blue\nsize: 5", "models: {}\n---\nmodels: {}", '"profiles"', "5: 6"]
)
def test_none_of_them(check, text):
    report = check(text)
    assert report.kind == "unknown"
    assert [fault.path for fault in report.faults] == [""]
    assert report.faults[0].reason.startswith("neither settings")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: [", "not YAML: line 2, column 1: "),
        (b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        ("a: " + "[" * 300, "not YAML: "),
    ],
)
def test_unreadable(check, content, reason):
    (fault,) = check(content).faults
    assert fault.path == ""
    assert fault.reason.startswith(reason)


def test_a_folder_is_no_file(tmp_path):
    assert told(validate_file(tmp_path)) == [": cannot be read: Is a directory"]


@pytest.mark.parametrize("file", [*EXAMPLES.glob("*.yaml"), DATA / "settings" / "documented.yaml"])
def test_files_that_are_valid(file):
    assert validate_file(file).faults == []


# --- settings


def test_settings_tell_every_fault(check):
    report = check(
        """
        listen: {port: 70000, tls_key_file: key.pem}
        models:
          a: {config: {profiles: {}}}
          b: {config: {profiles: {default: {routingStrategy: best}}}, endpoints: [not-a-url]}
        """
    )
    assert [fault.path for fault in report.faults] == [
        "listen.port",
        "listen.tls_key_file",
        "models.b.endpoints[0]",
        "models.a.config $.profiles",
        "models.b.config $.profiles.default.routingStrategy",
    ]


def test_settings_that_only_a_gateway_refuses(check):
    report = check("routing: {default_strategy: best}\nmodels: {m: {endpoints: ['http://10.0.0.999:1']}}")
    assert told(report) == [
        "routing.default_strategy: incorrect routing strategy best: best does not exist",
        "models.m.endpoints: http://10.0.0.999:1: the host is not an IP address",
    ]


def test_the_keys_file_of_settings(check, tmp_path):
    keys = tmp_path / "keys.yaml"
    settings = {"auth": {"keys_file": str(keys)}}
    report = check(settings)
    assert (report.faults, report.warnings) == (
        [],
        [f"auth.keys_file: {keys} is not here, and its keys are not checked"],
    )
    keys.write_text("- {name: al, sha256: 12}\n- {name: bo, sha256: %s, model: [m]}\n" % ("a" * 64))
    first, second = told(check(settings))
    assert first.startswith(f"auth.keys_file: {keys}[0].sha256: ")
    assert second.startswith(f"auth.keys_file: {keys}[1]: ")
    keys.write_text("- {name: al, sha256: %s}" % ("a" * 64))
    report = check(settings)
    assert (report.faults, report.warnings) == ([], [])
    keys.unlink()
    keys.mkdir()
    assert told(check(settings)) == [f"auth.keys_file: {keys}: cannot be read: Is a directory"]


def test_settings_with_doubts(check):
    config = {"profiles": {"batch": {"speed": 5}}}
    report = check({"upstream": {"keepalive": 60}, "models": {"m": {"config": config}}})
    assert report.faults == []
    assert [warning.partition(":")[0] for warning in report.warnings] == [
        "upstream.keepalive is not below the 5 s after which vLLM closes idle connections",
        "models.m.config $.profiles.batch.speed",
        "models.m.config $.defaultProfile",
    ]


def test_odd_models_are_no_trouble(check):
    assert check("models: [a]").faults
    assert check("models: {a: 5, b: {config: 5}}").faults
    assert check("models: {a: null}").faults == []


def test_nothing_set_is_doubtful(check):
    assert check("# all comments\n").warnings == ["nothing is set: every setting has its default"]


# --- annotations


def test_annotation_faults_have_json_paths(check):
    assert told(check({"profiles": {"default": {"requestsPerSecond": 1.5}}})) == [
        "$.profiles.default.requestsPerSecond: expected an integer, got a number with a fraction or an exponent"
    ]
    profiles = {"default": {}, "my batch": {"routingStrategy": "a:1,b:2"}}
    report = check({"profiles": profiles, "lockedRoutingStrategy": "worst"})
    assert [fault.path for fault in report.faults] == [
        "$.lockedRoutingStrategy",
        '$.profiles["my batch"].routingStrategy',
    ]


def test_annotation_in_yaml(check):
    report = check("profiles:\n  default: {}\n  default: {}\n  fast: {timeouts: {idle_timeout: 0}}\n")
    assert told(report) == [
        "profiles.default: the key is given twice (lines 2 and 3)",
        "$.profiles.fast.timeouts.idle_timeout: expected a number of seconds > 0",
    ]


def test_annotation_that_gives_a_key_twice_in_json(check):
    report = check('{"profiles": {"default": {}}, "profiles": {"default": {}}}')
    assert report.warnings == ["$: keys given twice in one object, the last one counts: profiles"]
