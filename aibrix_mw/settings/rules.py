"""What no single field can say: combinations, renamed keys, what this version does not support, what may reload.

Half of the module is its tables; a feature that gets ready deletes its line of NOT_YET.
"""

import ipaddress
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import msgspec

from aibrix_mw.errors import Fault
from aibrix_mw.settings.document import join
from aibrix_mw.settings.forms import bad_values
from aibrix_mw.settings.schema import ListenSettings, Section, Settings

# Old dotted path -> new one. A renamed key works for two minor versions, with a warning.
RENAMED: dict[str, str] = {}

# Dotted paths whose features are still to come: any value there but the default is a fault.
NOT_YET: tuple[str, ...] = ()

# Dotted paths that apply at once when the file changes; all else needs a restart.
RELOADABLE = ("models", "users", "log.level")

_ENGINE_KEEPALIVE = 5.0  # vLLM serves by uvicorn, which closes a connection after 5 idle seconds
_DEFAULTS = Settings()


class Rule(NamedTuple):
    """A combination that cannot be meant. `paths[0]` is the one that is reported."""

    paths: tuple[str, ...]
    broken: Callable[[Settings], bool]
    reason: str


RULES = (
    Rule(
        ("listen.tls_cert_file", "listen.tls_key_file"),
        lambda s: s.listen.tls_cert_file is not None and s.listen.tls_key_file is None,
        "needs listen.tls_key_file too",
    ),
    Rule(
        ("listen.tls_key_file", "listen.tls_cert_file"),
        lambda s: s.listen.tls_key_file is not None and s.listen.tls_cert_file is None,
        "needs listen.tls_cert_file too",
    ),
    Rule(
        ("listen.admin_port", "listen.port", "listen.host", "listen.admin_host"),
        lambda s: _listeners_clash(s.listen),
        "is also listen.port, on an address that both listeners use",
    ),
    Rule(
        ("discovery.kubernetes.namespaces", "discovery.kubernetes.all_namespaces"),
        lambda s: bool(s.discovery.kubernetes.namespaces) and s.discovery.kubernetes.all_namespaces,
        "names namespaces although all_namespaces is true",
    ),
    Rule(
        ("discovery.static.file", "discovery.kubernetes.enabled"),
        lambda s: s.discovery.static.file is not None and s.discovery.kubernetes.enabled,
        "lists all pods, and so does discovery.kubernetes: use one of them",
    ),
    Rule(
        ("store.password_file", "store.url"),
        lambda s: s.store.password_file is not None and has_password(s.store.url),
        "gives a password, and so does store.url",
    ),
    Rule(
        ("store.username", "store.url"),
        lambda s: s.store.username is not None and "@" in (s.store.url or ""),
        "names a user, and so does store.url",
    ),
    Rule(
        ("store.password_file", "store.url"),
        lambda s: s.store.password_file is not None and "@" in (s.store.url or "") and not has_password(s.store.url),
        "goes with store.username, not with a user in store.url",
    ),
    Rule(
        ("store.ca_file", "store.url"),
        lambda s: s.store.ca_file is not None and (s.store.url or "").startswith(("redis://", "valkey://")),
        "has no use on an unencrypted connection: store.url is not rediss://",
    ),
    Rule(
        ("ejection.base", "ejection.cap"),
        lambda s: s.ejection.base > s.ejection.cap,
        "is longer than ejection.cap",
    ),
    Rule(
        ("limits.max_replay_bytes", "limits.max_body_bytes"),
        # the default replay size above a small body size only says that every body can be tried again
        lambda s: s.limits.max_body_bytes < s.limits.max_replay_bytes != _DEFAULTS.limits.max_replay_bytes,
        "is larger than limits.max_body_bytes",
    ),
    Rule(
        ("limits.max_buffered_bytes", "limits.max_body_bytes"),
        lambda s: s.limits.max_buffered_bytes < s.limits.max_body_bytes,
        "is smaller than limits.max_body_bytes: the largest bodies would never be taken",
    ),
    Rule(
        ("prefix_cache.isolate", "auth.keys_file"),
        lambda s: s.prefix_cache.isolate == "tenant" and s.auth.keys_file is None,
        "needs auth.keys_file: without keys nobody's tenant is known",
    ),
)

WARNINGS = (
    Rule(
        ("discovery.kubernetes",),
        lambda s: not s.discovery.kubernetes.enabled and s.discovery.kubernetes != _DEFAULTS.discovery.kubernetes,
        "has no effect while discovery.kubernetes.enabled is false",
    ),
    Rule(
        ("store",),
        lambda s: s.store.url is None and s.store != _DEFAULTS.store,
        "has no effect while store.url is null",
    ),
    Rule(
        ("upstream.keepalive",),
        lambda s: s.upstream.keepalive >= _ENGINE_KEEPALIVE,
        "is not below the 5 s after which vLLM closes idle connections: requests will meet closed ones",
    ),
)


def broken_rules(settings: Settings, faulty: Collection[str], *, partial: bool = False) -> Iterator[Fault]:
    """Yield what is wrong with `settings` as a whole.

    Combinations with an already `faulty` path are not judged, nor any where the settings are only a part of what is
    written: the default in the place of a value that was left out would be blamed. What is not supported has no part in
    a combination.
    """
    for rule in () if partial else RULES:
        judged = not any(_within(path, bad) or _within(bad, path) for path in rule.paths for bad in faulty)
        if judged and not _is_to_come(rule.paths[0]) and rule.broken(settings):
            yield Fault(rule.paths[0], rule.reason)
    yield from bad_values(settings)
    for path in differences(_DEFAULTS, settings):
        if _is_to_come(path):
            yield Fault(path, "is not supported by this version")


def _is_to_come(path: str) -> bool:
    return any(_within(path, prefix) for prefix in NOT_YET)


def doubts(settings: Settings) -> tuple[str, ...]:
    """Return warnings about settings that work, and probably not as meant."""
    return tuple(f"{rule.paths[0]} {rule.reason}" for rule in WARNINGS if rule.broken(settings))


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    """Yield the dotted path of each value that differs between two settings."""
    if isinstance(old, Section) and isinstance(new, Section):
        for name in old.__struct_fields__:
            yield from differences(getattr(old, name), getattr(new, name), join(path, name))
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in old | new:
            yield from differences(old.get(name), new.get(name), join(path, name))
    elif old != new:
        yield path


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """Return the dotted paths that changed and apply only after a restart."""
    return [path for path in differences(old, new) if not any(_within(path, prefix) for prefix in RELOADABLE)]


def reloaded(old: Settings, new: Settings) -> Settings:
    """Return `old` with what of `new` applies without a restart."""
    log = msgspec.structs.replace(old.log, level=new.log.level)
    return msgspec.structs.replace(old, models=new.models, users=new.users, log=log)


def has_password(url: object) -> bool:
    """Whether a store URL carries a password, also where the URL is malformed."""
    if not isinstance(url, str):
        return False
    user_info, at, _ = url.partition("//")[2].rpartition("@")
    return bool(at and ":" in user_info) or "password=" in url.lower()


def _within(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "["))


def _listeners_clash(listen: ListenSettings) -> bool:
    if listen.port != listen.admin_port or listen.port == 0:
        return False
    ours, admin = _families(listen.host), _families(listen.admin_host)
    return any(a == b or (a[0] == b[0] and "*" in {a[1], b[1]}) for a in ours for b in admin)


def _families(host: str | None) -> list[tuple[int, str]]:
    """Return the addresses that listening on `host` takes, as (IP version, address or *)."""
    if host is None:
        return [(4, "*"), (6, "*")]
    if host == "localhost":
        return [(4, "127.0.0.1"), (6, "::1")]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name may stand for either family
        return [(4, host), (6, host)]
    return [(address.version, "*" if address.is_unspecified else str(address))]
