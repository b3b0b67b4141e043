"""`aibrix-mw users`, over a real server."""

import json

import pytest
from click.testing import CliRunner

from aibrix_mw.cli import main


@pytest.fixture
def invoke(server):
    return lambda *words: CliRunner().invoke(main, ["users", "--redis-url", server.connection_url, *words])


def listed(invoke):
    result = invoke("list")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_records_are_written_listed_replaced_and_deleted(invoke, server):
    assert listed(invoke) == []
    assert invoke("set", "bo", "--tpm", "5000").exit_code == 0
    assert invoke("set", "al", "--rpm", "10", "--tpm", "1000").exit_code == 0
    assert json.loads(server.client().get("aibrix-users/al")) == {"name": "al", "rpm": 10, "tpm": 1000}
    assert listed(invoke) == [{"name": "al", "rpm": 10, "tpm": 1000}, {"name": "bo", "tpm": 5000}]
    assert invoke("set", "al", "--rpm", "3").exit_code == 0
    assert invoke("delete", "bo").exit_code == 0
    assert listed(invoke) == [{"name": "al", "rpm": 3}]


def test_a_record_that_is_none_is_told_and_the_others_are_listed(invoke, server):
    server.client().set("aibrix-users/al", "nonsense")
    invoke("set", "bo", "--rpm", "1")
    result = invoke("list")
    assert result.stdout == '{"name":"bo","rpm":1}\n'
    assert "aibrix-users/al: is not a user's record" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("set", "al"), 2, "give --rpm, --tpm or both"),
        (("set", "al", "--rpm", "0"), 2, "--rpm"),
        (("set", "", "--rpm", "1"), 2, "a name has 1 to 256 characters"),
        (("set", "x" * 257, "--rpm", "1"), 2, "a name has 1 to 256 characters"),
        (("delete", "nobody"), 1, "nobody has no record"),
    ],
)
def test_what_cannot_be_done(invoke, words, status, told):
    result = invoke(*words)
    assert result.exit_code == status
    assert told in result.stderr


def test_the_store_of_the_settings(server, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"store: {{url: '{server.connection_url}'}}")
    result = CliRunner().invoke(main, ["users", "--settings", str(file), "set", "al", "--rpm", "1"])
    assert result.exit_code == 0, result.output
    assert server.client().get("aibrix-users/al") == b'{"name":"al","rpm":1}'


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "users --redis-url URL ..."),
        (("--redis-url", "http://h"), 1, "store.url: expected a URL that starts with one of redis://"),
        (("--redis-url", "redis://127.0.0.1:1"), 1, "Error: the store: "),
    ],
)
def test_without_a_store(words, status, told):
    result = CliRunner().invoke(main, ["users", *words, "list"])
    assert result.exit_code == status
    assert told in result.stderr
