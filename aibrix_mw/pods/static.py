"""Pods without Kubernetes: endpoints by URL, and a file of manifests that is followed while it changes."""

import asyncio
import ipaddress
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.filewatch import Fingerprint, fingerprint, watch_file
from aibrix_mw.pods.manifest import read_pods
from aibrix_mw.pods.pod import Address, PodInfo
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry

logger = logging.getLogger("aibrix_mw")

NAMESPACE = "static"

_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<host>[a-z0-9](?:[-\w.]*[a-z0-9])?\.?))"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)


def parse_endpoint(url: str) -> Address:
    """Where `http(s)://host[:port]` leads; ConfigurationError, naming the URL, for anything else."""
    match = _ENDPOINT.fullmatch(url)
    if match is None:
        raise _refused(url, "not http(s)://host[:port]; a path, a query or a user has no place there")
    tls = match["scheme"].lower() == "https"
    port = int(match["port"] or (443 if tls else 80))
    if not 1 <= port <= 65535:
        raise _refused(url, "the port must be 1..65535")
    host = match["ipv6"] or match["host"]
    if (match["ipv6"] or not host.strip("0123456789.")) and not _is_ip(host):
        raise _refused(url, "the host is not an IP address")
    return Address(host.lower(), port, tls)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refused(url: str, reason: str) -> ConfigurationError:
    # a password or a token in the URL is not for logs
    shown = re.sub(r"//.*@", "//***@", re.sub(r"[?#].*", "?***", url, flags=re.DOTALL), flags=re.DOTALL)
    return ConfigurationError([Fault(shown or "endpoint", reason)])


def endpoint_pods(model: str, urls: Sequence[str], *, engine: str = "vllm") -> list[PodInfo]:
    """One routable pod per URL. ConfigurationError with all that is wrong, a repeated endpoint included."""
    pods: dict[Address, PodInfo] = {}
    faults: list[Fault] = []
    for url in urls:
        try:
            address = parse_endpoint(url)
        except ConfigurationError as error:
            faults += error.faults
            continue
        if address in pods:
            faults.append(Fault(url, f"is there twice for model {model}"))
        pods[address] = _endpoint_pod(model, url, address, engine)
    if faults:
        raise ConfigurationError(faults)
    return list(pods.values())


def _endpoint_pod(model: str, url: str, address: Address, engine: str) -> PodInfo:
    return PodInfo(
        uid=f"endpoint/{model}/{url}",
        name=address.netloc,
        namespace=NAMESPACE,
        model=model,
        address=address,
        engine=engine,
    )


class StaticPods:
    """A registry of endpoints that never change: models by name with their URLs, aliases with their model.

    ConfigurationError for a bad URL, and for an alias that is itself a model or names one that is not there. A registry
    of the caller's is filled instead of a new one; its defined models are replaced.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Sequence[str]],
        *,
        aliases: Mapping[str, str] = {},
        registry: PodRegistry | None = None,
    ) -> None:
        faults = _alias_faults(endpoints, aliases)
        pods: list[PodInfo] = []
        for model, urls in endpoints.items():
            try:
                pods += endpoint_pods(model, urls)
            except ConfigurationError as error:
                faults += error.faults
        if faults:
            raise ConfigurationError(faults)
        self.registry = PodRegistry() if registry is None else registry
        self.registry.define({model: ModelDefinition(aliases=_names_of(model, aliases)) for model in endpoints})
        self.registry.replace(NAMESPACE, pods)


def _names_of(model: str, aliases: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(alias for alias, target in aliases.items() if target == model)


def _alias_faults(endpoints: Mapping[str, Sequence[str]], aliases: Mapping[str, str]) -> list[Fault]:
    unknown = [Fault(f"alias {a}", f"no such model: {model}") for a, model in aliases.items() if model not in endpoints]
    return unknown + [Fault(f"alias {a}", "is the name of a model") for a in aliases if a in endpoints]


class PodFile:
    """A file of Kubernetes pod manifests that a registry is kept in step with.

    `fault` says what is wrong with the file as it is now, None when its pods are those in the registry; `source` is the
    name under which the registry keeps them.
    """

    def __init__(self, path: str | os.PathLike[str], registry: PodRegistry, *, source: str = "file") -> None:
        self.path = Path(path)
        self.registry = registry
        self.source = source
        self.fault: Fault | None = None
        self._seen: Fingerprint = None

    def load(self) -> None:
        """Read the file for the first time; ConfigurationError when it is missing or broken."""
        self._seen = fingerprint(self.path)
        self.registry.replace(self.source, self._read())

    async def watch(self, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Read the file again within 0.5 s of each change; runs until cancelled."""
        changes = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch_file(self.path, changes.set, since=self._seen, sleep=sleep))
            while True:
                await changes.wait()
                changes.clear()
                await self.reload()

    async def reload(self) -> None:
        """Take over the file as it is now; a broken one is reported once, and the pods before it stay."""
        try:
            # in a thread, because a long YAML file would hold up every stream
            pods = await asyncio.to_thread(self._read)
        except ConfigurationError as error:
            self._report(error)
            return
        self.fault = None
        self.registry.replace(self.source, pods)
        logger.info("%s: read again, %d pods", self.path, len(pods))

    def _read(self) -> list[PodInfo]:
        try:
            text = self.path.read_text("utf-8-sig")
        except OSError as error:
            raise ConfigurationError([Fault(str(self.path), f"cannot be read: {error.strerror}")]) from None
        except ValueError as error:
            raise ConfigurationError([Fault(str(self.path), f"is not text: {error}")]) from None
        pods, faults = read_pods(text, str(self.path))
        if faults:
            raise ConfigurationError(faults)
        return pods

    def _report(self, error: ConfigurationError) -> None:
        fault = error.faults[0]
        if len(error.faults) > 1:
            fault = Fault(fault.path, f"{fault.reason} (and {len(error.faults) - 1} more)")
        if fault != self.fault:
            logger.error("%s; the last good version stays", fault)
        self.fault = fault
