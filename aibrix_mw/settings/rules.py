"""What no single field can say: combinations, renamed keys, what this version does not support, what may reload.

Half of the module is its tables; a feature that gets ready deletes its line of NOT_YET.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from aibrix_mw.errors import Fault
from aibrix_mw.settings.document import join
from aibrix_mw.settings.schema import ListenSettings, ModelSettings, Section, Settings

# Old dotted path -> new one. A renamed key works for two minor versions, with a warning.
RENAMED: dict[str, str] = {}

# Dotted paths whose features are still to come: any value there but the default is a fault.
NOT_YET: tuple[str, ...] = (
    "auth",
    "cors",
    "discovery.kubernetes",
    "limits.max_loop_lag",
    "limits.waiting_room",
    "prefix_cache",
    "rate_limit",
    "routing.pd_fallback",
    "routing.use_terminating_as_last_resort",
    "store",
    "stream.keepalive",
    "tracing",
    "upstream.prefill_timeout",
    "users.records",
)

# Dotted paths that apply at once when the file changes; all else needs a restart.
RELOADABLE = ("models", "users", "log.level")

_STORES = ("redis", "rediss", "redis+sentinel", "redis+cluster", "valkey")
_OWN_PATHS = ("/healthz", "/readyz", "/v1/models")
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
    written: the default in the place of a value that was left out would be blamed.
    """
    for rule in () if partial else RULES:
        judged = not any(_within(path, bad) or _within(bad, path) for path in rule.paths for bad in faulty)
        if judged and rule.broken(settings):
            yield Fault(rule.paths[0], rule.reason)
    yield from _bad_values(settings)
    for path in differences(_DEFAULTS, settings):
        if any(_within(path, prefix) for prefix in NOT_YET):
            yield Fault(path, "is not supported by this version")


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


def _bad_values(settings: Settings) -> Iterator[Fault]:
    """Yield the values whose form a type cannot describe."""
    for path, host in (("listen.host", settings.listen.host), ("listen.admin_host", settings.listen.admin_host)):
        if host is not None and not _is_host(host):
            yield Fault(path, "expected an address or a host name, without port or brackets")
    if settings.store.url is not None and settings.store.url.partition("://")[0] not in _STORES:
        yield Fault("store.url", f"expected a URL that starts with one of {', '.join(f'{s}://' for s in _STORES)}")
    yield from _bad_items(
        "listen.trusted_proxies",
        settings.listen.trusted_proxies,
        _is_network,
        "an address, or a network such as 10.0.0.0/8",
    )
    yield from _bad_items(
        "routing.extra_paths",
        settings.routing.extra_paths,
        _is_path,
        "an absolute path without query that the gateway does not serve itself",
    )
    yield from _bad_items("cors.origins", settings.cors.origins, _is_origin, "scheme://host[:port] or '*'")
    yield from _bad_models(settings.models)


def _bad_items(path: str, items: tuple[str, ...], good: Callable[[str], bool], expected: str) -> Iterator[Fault]:
    for index, item in enumerate(items):
        if not good(item):
            yield Fault(f"{path}[{index}]", f"expected {expected}")


def _bad_models(models: dict[str, ModelSettings]) -> Iterator[Fault]:
    owner = dict.fromkeys(models, "")
    for name, model in models.items():
        path = f"models.{name}"
        if not name.strip():
            yield Fault(path, "a model needs a name")
        yield from _bad_items(
            f"{path}.endpoints", model.endpoints, _is_endpoint, "http(s)://host[:port], without path or credentials"
        )
        if len(set(model.endpoints)) < len(model.endpoints):
            yield Fault(f"{path}.endpoints", "an endpoint is given twice")
        for index, alias in enumerate(model.aliases):
            if alias in owner:
                yield Fault(f"{path}.aliases[{index}]", f"is already a name of model {owner[alias] or alias}")
            owner.setdefault(alias, name)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return re.fullmatch(r"[\w.-]+", host) is not None
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_path(path: str) -> bool:
    return re.fullmatch(r"/[^?#\s]+", path) is not None and path not in _OWN_PATHS


def _is_origin(origin: str) -> bool:
    return origin == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin) is not None


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.path in {"", "/"} and not parts.query and not parts.fragment
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and plain
