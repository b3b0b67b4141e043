"""`aibrix-mw keys new`: what it prints opens a gateway."""

import pytest
from click.testing import CliRunner

from aibrix_mw.cli import main
from aibrix_mw.keyfile import read_keys
from aibrix_mw.keys import Key, KeyRing


def run(*words):
    return CliRunner().invoke(main, ["keys", "new", *words])


def printed(*words):
    """The secret, and the one entry as a keys file holds it."""
    result = run(*words)
    assert result.exit_code == 0
    first, _, entry = result.stdout.partition("\nentry:\n")
    (read,) = read_keys(entry, "stdout")
    return first.removeprefix("key: "), read


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("--name", "al"), Key("al", "al")),
        (
            ("--name", "al: 'x'", "--tenant", "t", "--model", "m", "--model", "o/n", "--profile", "p"),
            Key("al: 'x'", "t", frozenset({"m", "o/n"}), frozenset({"p"})),
        ),
    ],
)
def test_a_fresh_key_and_its_entry(words, key):
    secret, entry = printed(*words)
    assert KeyRing([(entry.sha256, entry.key())]).find(secret.encode()) == key
    assert printed(*words)[0] != secret


@pytest.mark.parametrize("words", [(), ("--name", " ")])
def test_a_key_needs_a_name(words):
    result = run(*words)
    assert result.exit_code == 2
    assert "--name" in result.stderr
