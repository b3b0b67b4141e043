from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.settings import Settings, check, from_dict, load, parse_settings
from aibrix_mw.settings.rules import RENAMED


def told(checked):
    assert (checked.settings is None) == bool(checked.faults)
    return [str(fault) for fault in checked.faults]


@pytest.fixture
def everything_supported(monkeypatch):
    monkeypatch.setattr("aibrix_mw.settings.rules.NOT_YET", ())


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "settings.yaml"
        file.write_text(text)
        return file

    return write


def test_without_anything_the_defaults_apply(monkeypatch, write):
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "AIBRIX": "x"})
    assert load() == load(write("")) == load(str(write("# nothing"))) == from_dict({}) == Settings()


def test_flags_beat_environment_beats_file_beats_defaults(write):
    file = write("routing: {attempts: 3, retry_floor: 7, retry_budget: 0.5}\nlog: {level: debug}")
    env = {"AIBRIX_MW_ROUTING__ATTEMPTS": "4", "AIBRIX_MW_ROUTING__RETRY_FLOOR": "8"}
    settings = load(file, env, {"routing.attempts": 5, "listen.port": None, "listen.host": "::1"})
    routing = settings.routing
    assert (routing.attempts, routing.retry_floor, routing.retry_budget) == (5, 8, 0.5)
    assert (settings.log.level, settings.listen.port, settings.listen.host) == ("debug", 8080, "::1")


def test_os_environ_is_the_environment_unless_given(monkeypatch):
    monkeypatch.setenv("AIBRIX_MW_LISTEN__PORT", "9000")
    assert load().listen.port == 9000
    assert load(env={}).listen.port == 8080


def test_mappings_merge_key_by_key_and_lists_are_replaced(write):
    file = write("models: {a: {aliases: [x, y], config: {profiles: {p: {}}}}, b: {}}")
    env = {"AIBRIX_MW_MODELS": '{"a": {"aliases": ["z"]}, "c": {}}'}
    models = load(file, env, {"models": {"a": {"endpoints": ["http://h:1"]}}}).models
    assert list(models) == ["a", "b", "c"]
    assert (models["a"].aliases, models["a"].endpoints) == (("z",), ("http://h:1",))
    assert models["a"].config == {"profiles": {"p": {}}}


def test_bad_flags_are_named():
    checked = check(env={}, flags={"listen.port": "80", "listen.prot": 1, "routing": {"attempts": 0}, "x": None})
    assert told(checked) == [
        "listen.prot: unknown setting; did you mean listen.port?",
        "routing.attempts: expected an integer >= 1 (command line)",
        "listen.port: expected an integer, got a string (command line)",
    ]


def test_a_flag_may_be_a_path():
    assert load(env={}, flags={"discovery.static.file": Path("/pods.yaml")}).discovery.static.file == "/pods.yaml"


FAULTY = """
listen: {port: true, keep_alive: .nan, host: ""}
routing:
  atempts: 3
  attempts: 0
  attempts: 2
  client_headers: [config-profile, 1, x]
default_strategy: random
frobnicate: 1
models:
  1: {}
  meta-llama/Llama-3.1-8B: {alises: [a], engine: foo, config: []}
  b: x
store: {timeout: 1:x}
log: {level: off}
discovery:
limits: {max_body_bytes: 64Mi, waiting_room: []}
users: {records: {alice: {rpm: 0}}}
"""


def test_all_faults_are_told_at_once_with_path_reason_and_line(everything_supported):
    assert told(parse_settings(FAULTY)) == [
        "routing.attempts: the key is given twice (lines 5 and 6)",
        "listen.port: expected an integer, got a boolean (line 2)",
        "listen.keep_alive: expected a finite number (line 2)",
        "listen.host: expected a string of length >= 1 (line 2)",
        "routing.atempts: unknown key; did you mean attempts? (line 4)",
        "routing.client_headers[1]: expected one of config-profile, routing-strategy, external-filter (line 7)",
        "routing.client_headers[2]: expected one of config-profile, routing-strategy, external-filter (line 7)",
        "default_strategy: unknown key; did you mean routing.default_strategy? (line 8)",
        "frobnicate: unknown key (line 9)",
        "models.1: expected a string as the key, got an integer: put it in quotes (line 11)",
        "models.meta-llama/Llama-3.1-8B.alises: unknown key; did you mean aliases? (line 12)",
        "models.meta-llama/Llama-3.1-8B.engine: expected one of vllm, sglang, trtllm (line 12)",
        "models.meta-llama/Llama-3.1-8B.config: expected a mapping or null, got a list (line 12)",
        "models.b: expected a mapping, got a string (line 13)",
        "store.timeout: expected a number, got a string (line 14)",
        "log.level: expected one of debug, info, warning, error, critical (line 15)",
        "limits.max_body_bytes: expected an integer, got a string (line 17)",
        "limits.waiting_room: expected a mapping, got a list (line 17)",
        "users.records.alice.rpm: expected an integer >= 1 (line 18)",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1]", "s.yaml: expected a mapping at the top, got a list"),
        ("hello", "s.yaml: expected a mapping at the top, got a string"),
        (
            "a: [",
            (
                "s.yaml: not valid YAML: while parsing a flow node, expected the node content, but found "
                "'<stream end>' (line 1, column 5)"
            ),
        ),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_fault(text, fault):
    assert told(parse_settings(text, "s.yaml")) == [fault]


def test_a_file_that_cannot_be_read_is_one_fault(tmp_path):
    missing = tmp_path / "none.yaml"
    assert told(check(missing, {})) == [f"{missing}: cannot be read: No such file or directory"]
    assert told(check(tmp_path, {})) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_nothing_is_said_about_combinations_of_which_only_a_part_could_be_read(tmp_path, write):
    # the certificate may well stand in the file
    env = {"AIBRIX_MW_LISTEN__TLS_KEY_FILE": "/key.pem"}
    assert len(told(check(write("a: ["), env))) == 1
    assert len(told(check(tmp_path / "none.yaml", env))) == 1


def test_a_bad_value_in_the_file_is_told_although_a_flag_replaces_it(write):
    checked = check(write("routing: 5\nlisten: {port: x}"), {}, {"routing.attempts": 3, "listen.port": 80})
    assert told(checked) == [
        "routing: expected a mapping, got an integer (line 1)",
        "listen.port: expected an integer, got a string (line 2)",
    ]


@pytest.mark.parametrize("url", ["redis://:pw@h/0", "rediss://u:pw@h", "redis://u:p@w@h", "redis://h?password=pw"])
def test_a_password_in_the_file_is_refused_and_not_repeated(everything_supported, url):
    faults = told(parse_settings(f"store: {{url: '{url}'}}"))
    assert faults == ["store.url: holds a password: use store.password_file or the environment"]
    assert load(env={"AIBRIX_MW_STORE__URL": url}).store.url == url
    assert load(env={}, flags={"store.url": url}).store.url == url


def test_a_store_without_password_may_stand_in_the_file(everything_supported):
    assert parse_settings("store: {url: redis://user@h:6379/0}").unwrap().store.url == "redis://user@h:6379/0"
    assert "store.url: expected a string" in told(parse_settings("store: {url: 1}"))[0]


def test_load_raises_every_fault(write):
    with pytest.raises(ConfigurationError) as caught:
        load(write("a: 1\nb: 2"), {})
    assert [fault.path for fault in caught.value.faults] == ["a", "b"]


def test_from_dict_checks_as_a_file_is_checked_and_leaves_its_argument_alone(monkeypatch):
    monkeypatch.setitem(RENAMED, "routing.tries", "routing.attempts")
    data = {"routing": {"tries": 3}}
    assert from_dict(data).routing.attempts == 3
    assert data == {"routing": {"tries": 3}}
    with pytest.raises(ConfigurationError, match=r"listen.port: expected an integer, got a string$"):
        from_dict({"listen": {"port": "80"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
SECTIONS = st.sampled_from(Settings.__struct_fields__)


@given(st.dictionaries(SECTIONS | st.integers(), JSON))
def test_any_mapping_becomes_settings_or_faults(data):
    found: object
    try:
        found = from_dict(data)
    except ConfigurationError as error:
        found = error.faults
    assert found
