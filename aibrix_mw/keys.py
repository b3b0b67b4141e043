"""Keys of clients: whose they are, and what they open. Only hashes of them are ever stored."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe

import msgspec

ANY = "*"
_INDEX_BYTES = 8


class Key(msgspec.Struct, frozen=True):
    """Whose key a request carries: the user's name, the tenant, and what may be used; `*` stands for everything."""

    name: str
    tenant: str
    models: frozenset[str] = frozenset({ANY})
    profiles: frozenset[str] = frozenset({ANY})

    def opens_model(self, name: str, model: str | None = None) -> bool:
        """Whether a model may be used by this name, `model` being what it is an alias of.

        An adapter must be named itself: it is a model of its own, whoever serves it.
        """
        return ANY in self.models or name in self.models or model in self.models

    def opens_profile(self, name: str) -> bool:
        """Whether a config profile may be used."""
        return ANY in self.profiles or name in self.profiles


class KeyRing:
    """The keys that open a gateway, found by what a client presents."""

    def __init__(self, keys: Iterable[tuple[str, Key]] = ()) -> None:
        self.replace(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[tuple[str, Key]]) -> None:
        """Take these keys instead of those before, each with its SHA-256 as hexadecimal digits."""
        found = [(bytes.fromhex(digits), key) for digits, key in keys]
        self._keys = {digest[:_INDEX_BYTES]: (digest, key) for digest, key in found}

    def find(self, secret: bytes) -> Key | None:
        """The key that `secret` is, or None.

        The comparison takes the same time wherever two hashes differ, and the look-up before it tells only of the
        hash of a guess, which nobody can steer.
        """
        digest = sha256(secret).digest()
        known = self._keys.get(digest[:_INDEX_BYTES])
        return known[1] if known is not None and compare_digest(known[0], digest) else None


def new_key() -> str:
    """A fresh key with 256 bits of chance."""
    return f"sk-{token_urlsafe(32)}"


def hash_of(secret: str) -> str:
    """What a keys file holds of a key."""
    return sha256(secret.encode()).hexdigest()


@lru_cache(maxsize=4096)
def cache_salt(tenant: str) -> str:
    """What engines mix into a tenant's cached prefixes: 256 bits in 43 characters, as vLLM recommends.

    The same in every replica, because tenants gain nothing from caches that differ by it.
    """
    digest = sha256(b"aibrix_mw cache_salt\0" + tenant.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
