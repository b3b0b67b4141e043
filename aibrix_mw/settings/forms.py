"""Values whose form a type cannot describe: addresses, networks, paths, origins, URLs, names given twice."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from aibrix_mw.errors import Fault
from aibrix_mw.settings.schema import ModelSettings, Settings

_STORES = ("redis", "rediss", "redis+sentinel", "redis+cluster", "valkey")
_OWN_PATHS = ("/healthz", "/readyz", "/v1/models")


def bad_values(settings: Settings) -> Iterator[Fault]:
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
