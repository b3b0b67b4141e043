"""The keys file: what it says, what is wrong with it, and that it is followed."""

import asyncio

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.keyfile import KeyFile, read_keys
from aibrix_mw.keys import Key, KeyRing, hash_of
from tests.support import until

HASH = hash_of("secret")


def entry(**changes):
    fields = {"name": "al", "sha256": HASH} | changes
    return "- {" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}\n"


def test_an_entry_with_everything_and_one_with_nothing_more_than_it_needs():
    text = entry(tenant="t", models="[m, n]", profiles="[p]") + entry(name="bo", sha256=hash_of("x"))
    full, short = (row.key() for row in read_keys(text, "keys.yaml"))
    assert full == Key("al", "t", frozenset({"m", "n"}), frozenset({"p"}))
    assert short == Key("bo", "bo", frozenset({"*"}), frozenset({"*"}))


def test_a_name_may_have_two_keys():
    assert len(read_keys(entry() + entry(sha256=hash_of("next")), "k")) == 2


@pytest.mark.parametrize("text", ["", "[]", "# none yet\n"])
def test_no_keys_at_all(text):
    assert read_keys(text, "k") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: b", "k: expected a list of keys"),
        ("- al", "k[0]: expected a mapping, got a string"),
        ("- {name: al}", "k[0]: Object missing required field sha256"),
        ("- {name: al", "k: not valid YAML"),
        (entry() + entry(name="''"), "k[1].name: expected a string of length >= 1 (line 2)"),
        (entry(sha256="sk-secret"), "k[0].sha256: expected the SHA-256 of a key: 64 hexadecimal digits"),
        (entry(sha256="1234"), "k[0].sha256: expected a string, got an integer (line 1)"),
        (entry(models="[llama-*]"), "k[0].models: * stands for all of them, and not for a part of a name (line 1)"),
        (entry(profiles="['a*']"), "k[0].profiles: * stands for all of them"),
        (entry(models="llama"), "k[0].models: expected a list, got a string (line 1)"),
        (entry(model="[m]"), "k[0]: Object contains unknown field"),
        (entry(name="a, name: b"), "k[0].name: the key is given twice"),
    ],
)
def test_what_is_wrong_has_a_place(text, fault):
    with pytest.raises(ConfigurationError) as caught:
        read_keys(text, "k")
    assert fault in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_every_fault_is_told():
    with pytest.raises(ConfigurationError) as caught:
        read_keys("- {name: al, sha256: x}\n- 3\n", "k")
    assert [fault.path for fault in caught.value.faults] == ["k[0].sha256", "k[1]"]


async def test_a_file_is_followed_and_a_broken_version_is_told_once(tmp_path, log):
    path = tmp_path / "keys.yaml"
    path.write_text(entry())
    ring = KeyRing()
    file = KeyFile(path, ring)
    file.load()
    assert ring.find(b"secret").name == "al"
    watching = asyncio.ensure_future(file.watch())
    path.write_text("- broken")
    await until(lambda: file.fault)
    file.reload()
    assert ring.find(b"secret").name == "al"
    path.write_text(entry(name="bo"))
    await until(lambda: not file.fault)
    assert ring.find(b"secret").name == "bo"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert len([line for line in log() if "the last good version stays" in line]) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        KeyFile(tmp_path / "none", KeyRing()).load()
