"""Keys: found by what is presented, and what they open."""

import re

import pytest

from aibrix_mw.keys import Key, KeyRing, cache_salt, hash_of, new_key

AL = Key("al", "team", frozenset({"llama", "alias"}), frozenset({"batch"}))
ALL = Key("root", "root")


def test_a_key_is_found_by_its_secret_only():
    secret, other = new_key(), new_key()
    ring = KeyRing([(hash_of(secret), AL), (hash_of(other).upper(), ALL)])
    assert (ring.find(secret.encode()), ring.find(other.encode()), len(ring)) == (AL, ALL, 2)
    for wrong in (b"", hash_of(secret).encode(), secret.encode() + b" ", secret[:-1].encode(), new_key().encode()):
        assert ring.find(wrong) is None


def test_a_hash_that_is_only_alike_opens_nothing():
    """The index looks at the first bytes; the rest must be the same too."""
    secret = new_key()
    alike = hash_of(secret)[:-1] + ("0" if hash_of(secret)[-1] != "0" else "1")
    assert KeyRing([(alike, AL)]).find(secret.encode()) is None


def test_a_ring_is_replaced_whole():
    secret = new_key()
    ring = KeyRing([(hash_of(secret), AL)])
    ring.replace([(hash_of("other"), ALL)])
    assert ring.find(secret.encode()) is None
    assert ring.find(b"other") is ALL


def test_fresh_keys_are_long_and_never_the_same():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert min(map(len, keys)) >= 43
    assert all(key.startswith("sk-") for key in keys)


@pytest.mark.parametrize(
    ("name", "alias_of", "opened"),
    [
        ("llama", None, True),
        ("alias", "other", True),
        ("another", "llama", True),
        ("llama-sql", None, False),
        ("other", None, False),
        ("*", None, False),
    ],
)
def test_models(name, alias_of, opened):
    assert AL.opens_model(name, alias_of) is opened
    assert ALL.opens_model(name, alias_of)


def test_profiles():
    assert AL.opens_profile("batch")
    assert not AL.opens_profile("default")
    assert ALL.opens_profile("default")


def test_salts_differ_by_tenant_and_by_nothing_else():
    salts = {cache_salt(f"team-{number}") for number in range(100)}
    assert len(salts) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", salt) for salt in salts)
    assert cache_salt("team-1") == "IYEna5gF9w_L_z-BOOK_6S7F8mgEvNIaTruUdBBc0C4"
