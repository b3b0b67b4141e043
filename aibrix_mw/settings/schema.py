"""The settings, one frozen struct per section.

This is the reference: each field carries its meaning, its unit and its bounds, and msgspec checks the bounds. Times
are seconds, sizes bytes. The file is long because the gateway has that many settings, and nothing else is in it.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Duration = Annotated[float, Meta(ge=0)]
Timeout = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
ClientHeader = Literal["config-profile", "routing-strategy", "external-filter"]


def _redacted(name: str, value: object) -> object:
    """Return a URL without its credentials and its query; any other value as it is."""
    if name != "url" or not isinstance(value, str):
        return value
    scheme, _, rest = value.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2].partition('?')[0]}"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every mapping in the settings."""


class ListenSettings(Section, frozen=True):
    """Addresses that the gateway serves, and what it grants a client connection."""

    host: Annotated[Text | None, Meta(description="Address for clients; null: all addresses, both families.")] = None
    port: Annotated[Port, Meta(description="Port for clients; 0: one that is free.")] = 8080
    admin_host: Annotated[
        Text | None, Meta(description="Address of the admin listener; null: all addresses, both families.")
    ] = "127.0.0.1"
    admin_port: Annotated[Port, Meta(description="Port of the admin listener; 0: one that is free.")] = 8081
    keep_alive: Annotated[Duration, Meta(description="Seconds that an idle client connection stays open.")] = 620
    header_timeout: Annotated[Timeout, Meta(description="Seconds for a client to send a whole request head.")] = 10
    body_timeout: Annotated[Timeout, Meta(description="Seconds between two parts of a request body.")] = 30
    trusted_proxies: Annotated[
        tuple[Text, ...], Meta(description="Addresses or networks whose x-forwarded-* headers are appended to.")
    ] = ()
    tls_cert_file: Annotated[Text | None, Meta(description="PEM file with the certificate chain; null: no TLS.")] = None
    tls_key_file: Annotated[Text | None, Meta(description="PEM file with the certificate's private key.")] = None


class StaticSettings(Section, frozen=True):
    """Pods from a file."""

    file: Annotated[Text | None, Meta(description="A Kubernetes PodList or Pods, YAML or JSON; re-read on change.")] = (
        None
    )


class KubernetesSettings(Section, frozen=True):
    """Pods from a Kubernetes API server."""

    enabled: Annotated[bool, Meta(description="Watch pods through the Kubernetes API.")] = False
    namespaces: Annotated[tuple[Text, ...], Meta(description="Namespaces to watch; empty: the gateway's own.")] = ()
    all_namespaces: Annotated[bool, Meta(description="Watch every namespace.")] = False
    kubeconfig: Annotated[Text | None, Meta(description="Kubeconfig file; null: in-cluster, else the usual one.")] = (
        None
    )
    context: Annotated[Text | None, Meta(description="Context of the kubeconfig; null: its current one.")] = None
    model_scope: Annotated[
        Literal["strict", "cluster", "namespace"],
        Meta(
            description="A model name in two namespaces: strict: a fault, one namespace serves it; "
            "cluster: their pods are pooled; namespace: models are named namespace/model."
        ),
    ] = "strict"
    emit_events: Annotated[
        bool, Meta(description="Write Kubernetes Events on pods with an invalid annotation or port.")
    ] = False


class DiscoverySettings(Section, frozen=True):
    """Where pods come from."""

    static: StaticSettings = StaticSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    remember: Annotated[
        Duration, Meta(description="Seconds that a model without pods answers 503; after that 404.")
    ] = 600


class ModelSettings(Section, frozen=True):
    """What the operator says about one model."""

    config: Annotated[
        dict[str, Any] | None,
        Meta(description="Config profiles as in the pod annotation model.aibrix.ai/config; wins over annotations."),
    ] = None
    aliases: Annotated[tuple[Text, ...], Meta(description="Further names under which clients reach the model.")] = ()
    endpoints: Annotated[tuple[Text, ...], Meta(description="Engines of the model: http(s)://host[:port].")] = ()
    engine: Annotated[Literal["vllm", "sglang", "trtllm"], Meta(description="Kind of engine behind the endpoints.")] = (
        "vllm"
    )


class StoreSettings(Section, frozen=True):
    """The store that replicas share for counting."""

    url: Annotated[
        Text | None,
        Meta(
            description="redis://, rediss://, redis+sentinel://, redis+cluster:// or valkey:// URL; null: each process "
            "counts for itself. A password belongs into password_file or the environment."
        ),
    ] = None
    username: Annotated[Text | None, Meta(description="User name at the store.")] = None
    password_file: Annotated[Text | None, Meta(description="File whose content is the store's password.")] = None
    ca_file: Annotated[Text | None, Meta(description="PEM file with the authority that signs the store.")] = None
    timeout: Annotated[Timeout, Meta(description="Seconds that one call to the store may take.")] = 0.05
    namespace: Annotated[Text, Meta(description="Prefix of every key in the store.")] = "aibrix_mw"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what may be shown: the URL may hold a password."""
        return [(name, _redacted(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        return f"StoreSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class RateLimitSettings(Section, frozen=True):
    """How requests are counted when counting is not simple."""

    on_store_error: Annotated[
        Literal["local", "open", "refuse"],
        Meta(
            description="Store away: local: count in process with this replica's share of the limit; "
            "open: no limits; refuse: 503."
        ),
    ] = "local"
    per_replica: Annotated[bool, Meta(description="Each replica counts for itself, on purpose.")] = False


class RoutingSettings(Section, frozen=True):
    """How a pod is chosen and tried."""

    default_strategy: Annotated[
        Text, Meta(description="Strategy where neither request nor profile names one; also my_pkg.mod:Class.")
    ] = "least-request"
    client_headers: Annotated[
        tuple[ClientHeader, ...], Meta(description="Routing headers that clients may use; others are dropped.")
    ] = ("config-profile", "routing-strategy", "external-filter")
    attempts: Annotated[Count, Meta(description="Attempts per request in all, the first included.")] = 2
    retry_budget: Annotated[Duration, Meta(description="Retries that each request adds to the budget.")] = 0.2
    retry_floor: Annotated[Duration, Meta(description="Retries that each second adds to the budget.")] = 3
    expose_target: Annotated[bool, Meta(description="Answers name the pod, its address and the strategy.")] = True
    session_key_file: Annotated[
        Text | None, Meta(description="File with the key of session ids; null: a fixed public key.")
    ] = None
    extra_paths: Annotated[
        tuple[Text, ...], Meta(description="Further paths that are forwarded to engines, POST only.")
    ] = ()
    allow_transfer_params: Annotated[
        bool, Meta(description="Clients may send KV transfer parameters (they make engines open connections).")
    ] = False
    pd_fallback: Annotated[
        Literal["decode", "refuse"],
        Meta(description="No complete prefill/decode pair: a decode pod serves both legs, or 503."),
    ] = "decode"
    use_terminating_as_last_resort: Annotated[
        bool, Meta(description="Choose pods that are being deleted when no other is left.")
    ] = False
    slow_start: Annotated[
        Duration, Meta(description="Seconds over which a newly Ready pod's share grows from 10 %; 0: at once.")
    ] = 30


class EjectionSettings(Section, frozen=True):
    """When a failing pod is left out for a while."""

    consecutive_failures: Annotated[Count, Meta(description="Failures in a row that eject a pod.")] = 5
    base: Annotated[Timeout, Meta(description="Seconds of the first ejection; each further one doubles.")] = 30
    cap: Annotated[Timeout, Meta(description="Seconds of the longest ejection.")] = 300
    max_share: Annotated[Share, Meta(description="Largest share of a model's pods out at once, 0..1.")] = 0.5


class UpstreamSettings(Section, frozen=True):
    """Timers towards engines."""

    connect_timeout: Annotated[Timeout, Meta(description="Seconds to connect to a pod.")] = 1
    first_byte_timeout: Annotated[
        Timeout, Meta(description="Seconds from routing to the first body byte of a streamed answer.")
    ] = 300
    response_timeout: Annotated[
        Timeout, Meta(description="Seconds from routing to the last byte of an answer that is not streamed.")
    ] = 600
    idle_timeout: Annotated[Timeout, Meta(description="Seconds between two body chunks after the first.")] = 300
    keepalive: Annotated[
        Duration, Meta(description="Seconds that an idle pod connection is kept; below vLLM's own 5 s. 0: none is.")
    ] = 4
    prefill_timeout: Annotated[Timeout, Meta(description="Seconds for the prefill leg of a disaggregated request.")] = (
        60
    )


class ScrapeSettings(Section, frozen=True):
    """Reading of the engines' own metrics."""

    interval: Annotated[Timeout, Meta(description="Seconds between two scrapes of a pod.")] = 1
    timeout: Annotated[Timeout, Meta(description="Seconds that one scrape may take.")] = 1


class WaitingRoomSettings(Section, frozen=True):
    """Where requests wait while no pod of their model is ready, or each has as many as it may."""

    size: Annotated[int, Meta(ge=0, description="Requests of one model that may wait; 0: none waits.")] = 0
    deadline: Annotated[Timeout, Meta(description="Seconds that a request waits at most.")] = 3


class LimitsSettings(Section, frozen=True):
    """What one request, and all together, may take."""

    max_body_bytes: Annotated[Count, Meta(description="Bytes of a request body; above: 413.")] = 67_108_864
    max_replay_bytes: Annotated[
        int, Meta(ge=0, description="Bytes up to which a body is kept for a second attempt.")
    ] = 8_388_608
    max_buffered_bytes: Annotated[Count, Meta(description="Bytes of all bodies held at once; above: 503.")] = (
        268_435_456
    )
    max_header_bytes: Annotated[Count, Meta(description="Bytes of a request or answer head.")] = 65_536
    max_headers: Annotated[Count, Meta(description="Header fields of a request or answer.")] = 100
    max_in_flight: Annotated[Count, Meta(description="Requests in flight; above: 503.")] = 10_000
    max_loop_lag: Annotated[
        Timeout, Meta(description="Seconds of lasting event-loop lag above which requests get 503.")
    ] = 0.25
    waiting_room: WaitingRoomSettings = WaitingRoomSettings()


class AuthSettings(Section, frozen=True):
    """Keys of clients, and the gateway's own key at engines."""

    keys_file: Annotated[Text | None, Meta(description="YAML list of hashed client keys; null: no keys asked.")] = None
    engine_key_file: Annotated[Text | None, Meta(description="File with the key that is sent to engines.")] = None


class UserRecord(Section, frozen=True):
    """Limits of one user."""

    rpm: Annotated[Count | None, Meta(description="Requests per minute; null: no limit.")] = None
    tpm: Annotated[Count | None, Meta(description="Tokens per minute; null: no limit.")] = None


class UsersSettings(Section, frozen=True):
    """Who a user is and what each may take."""

    trust_header: Annotated[bool, Meta(description="Without keys, the header `user` names the user.")] = True
    records: Annotated[dict[str, UserRecord], Meta(description="Limits by user; without a record: none.")] = {}


class PrefixCacheSettings(Section, frozen=True):
    """Prefix-cache routing."""

    isolate: Annotated[
        Literal["none", "tenant"], Meta(description="tenant: tenants never share cached prefixes, here or in engines.")
    ] = "none"


class TracingSettings(Section, frozen=True):
    """Traces; the exporter is configured by the OTEL_* variables."""

    sample_ratio: Annotated[Share, Meta(description="Share of requests that are traced, 0..1.")] = 0.1
    trust_parent: Annotated[bool, Meta(description="Continue the client's trace instead of linking to it.")] = False
    capture_text: Annotated[bool, Meta(description="Record prompts and answers in spans.")] = False


class MetricsSettings(Section, frozen=True):
    """Prometheus metrics."""

    enabled: Annotated[bool, Meta(description="Count and serve metrics.")] = True
    per_pod: Annotated[bool, Meta(description="Label metrics with the pod.")] = True


class LogSettings(Section, frozen=True):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], Meta(description="Least severity that is logged.")
    ] = "info"
    access: Annotated[Literal["none", "errors", "all"], Meta(description="Requests that get an access log line.")] = (
        "errors"
    )
    format: Annotated[Literal["json", "text"], Meta(description="Form of a log line.")] = "json"


class CorsSettings(Section, frozen=True):
    """Cross-origin requests of browsers."""

    origins: Annotated[tuple[Text, ...], Meta(description="Origins that may call: scheme://host[:port], or '*'.")] = ()


class StreamSettings(Section, frozen=True):
    """Streamed answers."""

    keepalive: Annotated[
        Duration, Meta(description="Seconds between keep-alive comments before the first byte; 0: none are sent.")
    ] = 0


class ShutdownSettings(Section, frozen=True):
    """The end of the process after SIGTERM."""

    delay: Annotated[Duration, Meta(description="Seconds of further service while /readyz already answers 503.")] = 5
    grace: Annotated[Duration, Meta(description="Seconds for requests in flight to finish after that.")] = 540


class Settings(Section, frozen=True):
    """All settings of one gateway."""

    listen: ListenSettings = ListenSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    models: Annotated[dict[str, ModelSettings], Meta(description="Models by name.")] = {}
    store: StoreSettings = StoreSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    routing: RoutingSettings = RoutingSettings()
    ejection: EjectionSettings = EjectionSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    scrape: ScrapeSettings = ScrapeSettings()
    limits: LimitsSettings = LimitsSettings()
    auth: AuthSettings = AuthSettings()
    users: UsersSettings = UsersSettings()
    prefix_cache: PrefixCacheSettings = PrefixCacheSettings()
    tracing: TracingSettings = TracingSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    cors: CorsSettings = CorsSettings()
    stream: StreamSettings = StreamSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
