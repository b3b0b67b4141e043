"""One pod: who it is, and what we see of it."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec

from aibrix_mw.errors import Headers, reflect


class Address(msgspec.Struct, frozen=True):
    """Where an engine listens: host name or IP address, port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool = False

    @property
    def netloc(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PodInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What discovery knows of a pod; made by the manifest reader, replaced whole at each change.

    `created` is the creation time as seconds since the epoch. `excluded` says why the pod takes no requests:
    `not_ready`, `terminating`, `no_address`, `worker`, `invalid_port` or `other_namespace`; None when it is routable.
    `last_resort` marks a terminating pod that still serves. `config` is the raw `model.aibrix.ai/config` annotation.
    `prefix` is what the names of model and adapters carry here in front of what the engine calls them.
    """

    uid: str
    name: str
    namespace: str
    model: str
    address: Address | None
    adapters: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    engine: str = "vllm"
    metric_port: int | None = None
    created: float = 0.0
    config: str | None = None
    excluded: str | None = None
    last_resort: bool = False
    prefix: str = ""


class Lease:
    """One request's hold on a pod: the only writer of what we see of it."""

    __slots__ = ("pod",)

    def __init__(self, pod: "Pod") -> None:
        self.pod = pod

    def __enter__(self) -> None:
        self.pod.in_flight += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pod.in_flight -= 1


class Pod:
    """A live pod. The registry keeps the object as long as the uid lives, so that load survives every update.

    `in_flight` counts the requests that gateways have on the pod: this one's, and those `elsewhere` as last heard.
    """

    __slots__ = ("__weakref__", "answer_headers", "elsewhere", "host_header", "in_flight", "info", "uid")

    info: PodInfo
    answer_headers: Headers
    host_header: bytes

    def __init__(self, info: PodInfo) -> None:
        self.uid = info.uid
        self.in_flight = 0
        self.elsewhere = 0
        self.describe(info)

    def __repr__(self) -> str:
        return f"Pod({self.info.namespace}/{self.info.name}, in_flight={self.in_flight})"

    def describe(self, info: PodInfo) -> None:
        """Take over what discovery says now."""
        self.info = info
        netloc = info.address.netloc.encode() if info.address else b""
        self.host_header = netloc
        self.answer_headers = ((b"target-pod", reflect(info.name)), (b"target-pod-ip", netloc))

    @property
    def held(self) -> int:
        """Requests that this gateway has on the pod."""
        return self.in_flight - self.elsewhere

    def hear(self, elsewhere: int) -> None:
        """Take over how many requests other gateways have on the pod."""
        self.in_flight += elsewhere - self.elsewhere
        self.elsewhere = elsewhere

    @property
    def address(self) -> Address:
        """Where the engine listens; only pods with an address are ever routable."""
        assert self.info.address is not None
        return self.info.address

    def lease(self) -> Lease:
        """Hold the pod for the length of a `with` block, to the last byte, on error and on cancel too."""
        return Lease(self)


class Target(msgspec.Struct, frozen=True):
    """What a strategy chose: the pod, a prefill pod for disaggregated requests, and headers for the answer.

    `fallback` is the reason why another strategy had to decide; `scores` is filled only where somebody records it.
    """

    pod: Pod
    prefill: Pod | None = None
    headers: Headers = ()
    fallback: str | None = None
    scores: Sequence[Any] = ()
