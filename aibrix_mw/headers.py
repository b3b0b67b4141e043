"""Which headers cross the gateway, and which end at it."""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from aibrix_mw.errors import Headers

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OURS = frozenset(
    {
        b"routing-strategy",
        b"target-pod",
        b"target-pod-ip",
        b"prefill-target-pod",
        b"prefill-target-pod-ip",
        b"x-aibrix-config-profile",
        b"x-aibrix-pd",
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
        b"x-request-id",
        b"x-session-id",
    }
)
_ENDS_HERE = (
    HOP_BY_HOP
    | _OURS
    | {
        b"config-profile",
        b"content-length",
        b"expect",
        b"external-filter",
        b"forwarded",
        b"host",
        b"x-aibrix-session-key",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)


def _look_alikes(name: bytes) -> set[bytes]:
    """What some servers read as this name, because an underscore is a hyphen to them."""
    words = name.split(b"-")
    spelled = {words[0]}
    for word in words[1:]:
        spelled = {begin + mark + word for begin in spelled for mark in (b"-", b"_")}
    return spelled - {name}


_TRUSTED = _ENDS_HERE | {b"content-encoding", b"content-type", b"x-api-key"}
LOOK_ALIKES: Final = frozenset(alike for name in _TRUSTED for alike in _look_alikes(name))
"""Names that differ only by underscores from those that the gateway believes or sets."""

_NOT_TO_ENGINE: Final = _ENDS_HERE | LOOK_ALIKES
_NOT_TO_CLIENT: Final = HOP_BY_HOP | _OURS


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Header names that `Connection` declares to be for this hop only."""
    values = [value for name, value in headers if name == b"connection"]
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))


def _without_named(kept: list[tuple[bytes, bytes]], headers: Headers) -> list[tuple[bytes, bytes]]:
    named = _named_by_connection(headers)
    return [header for header in kept if header[0] not in named]


def text_of(value: bytes) -> str:
    """A header's text: clients write names as UTF-8, the older ones as Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def to_client(headers: Headers) -> list[tuple[bytes, bytes]]:
    """An engine's end-to-end headers, in order; those that only the gateway may set are left out."""
    kept = [header for header in headers if header[0] not in _NOT_TO_CLIENT]
    if len(kept) < len(headers) and b"connection" in dict(headers):
        return _without_named(kept, headers)
    return kept


@lru_cache(maxsize=4096)
def _forwarded(peer: str, scheme: str) -> Headers:
    return ((b"x-forwarded-for", peer.encode()), (b"x-forwarded-proto", scheme.encode()))


def _forwarded_before(scope: Scope, headers: Mapping[bytes, bytes], peer: str) -> Headers:
    """What a trusted proxy says of the request, and that it came through it."""
    before = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return (
        (b"x-forwarded-for", b", ".join([*before, peer.encode()])),
        (b"x-forwarded-proto", headers.get(b"x-forwarded-proto", scope.get("scheme", "http").encode())),
        (b"x-forwarded-host", headers.get(b"x-forwarded-host", headers.get(b"host", b""))),
    )


class Forwarder:
    """Makes the headers that an engine gets from those that the client sent.

    `trusted_proxies` are addresses or networks of peers whose `x-forwarded-*` are believed: they are appended to
    instead of replaced.
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]

    def to_engine(
        self, scope: Scope, headers: Mapping[bytes, bytes], request_id: bytes | None
    ) -> list[tuple[bytes, bytes]]:
        """End-to-end headers in the client's order, then the request id and where the request came from."""
        kept = [header for header in scope["headers"] if header[0] not in _NOT_TO_ENGINE]
        if b"connection" in headers:
            kept = _without_named(kept, scope["headers"])
        if request_id is not None:
            kept.append((b"x-request-id", request_id))
        client = scope.get("client")
        peer = client[0] if client else "unknown"
        if self._trusted and self._trusts(peer):
            kept += _forwarded_before(scope, headers, peer)
        else:
            kept += _forwarded(peer, scope.get("scheme", "http"))
            kept.append((b"x-forwarded-host", headers.get(b"host", b"")))
        return kept

    def _trusts(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._trusted)
