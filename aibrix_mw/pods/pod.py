"""One pod: who it is, and what we see of it."""

import time
from collections.abc import Callable, Mapping

import msgspec

from aibrix_mw.errors import Headers, reflect
from aibrix_mw.pods.engine_metrics import EngineMetrics
from aibrix_mw.pods.latency import Latency
from aibrix_mw.pods.lease import Lease


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


class Pod:
    """A live pod. The registry keeps the object as long as the uid lives, so that load survives every update.

    `in_flight` counts the requests that gateways have on the pod: this one's, and those `elsewhere` as last heard.
    `metrics` is the engine's own word, written by the scraper. What we see is written by leases: requests in flight,
    prompt tokens (in all, and not cached) of those that have had no first byte, latency.
    """

    __slots__ = (
        "__weakref__",
        "answer_headers",
        "elsewhere",
        "host_header",
        "in_flight",
        "info",
        "key",
        "latency",
        "metrics",
        "outstanding_tokens",
        "outstanding_uncached",
        "uid",
    )

    info: PodInfo
    answer_headers: Headers
    host_header: bytes

    def __init__(self, info: PodInfo) -> None:
        self.uid = info.uid
        self.key = info.uid.encode()
        self.in_flight = 0
        self.elsewhere = 0
        self.outstanding_tokens = 0
        self.outstanding_uncached = 0
        self.latency = Latency()
        self.metrics: EngineMetrics | None = None
        self.describe(info)

    def __deepcopy__(self, _memo: object) -> "Pod":
        """The pod itself: there is one object a pod, whatever refers to it."""
        return self

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

    def lease(self, tokens: int = 0, match: float | None = None, clock: Callable[[], float] = time.monotonic) -> Lease:
        """Hold the pod for the length of a `with` block, to the last byte, on error and on cancel too."""
        return Lease(self, tokens, match, clock)


class Target(msgspec.Struct, frozen=True):
    """What a strategy chose: the pod, a prefill pod for disaggregated requests, and headers for the answer.

    `fallback` is the reason why another strategy had to decide; `match` the share of the prompt that the pod is thought
    to have in its cache (the prefill pod, where there is one), None where nobody looked; `alone` is why a request that
    was meant for two pods goes to one.
    """

    pod: Pod
    prefill: Pod | None = None
    headers: Headers = ()
    fallback: str | None = None
    match: float | None = None
    alone: str | None = None
