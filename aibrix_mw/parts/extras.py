"""Parts that need an extra of the package: imported only when they are on, missed with a word on what to install."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from aibrix_mw.admin import Exposition
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.limiting.limiter import Limiter, SharedLimiter
from aibrix_mw.limiting.model import ModelQuotas
from aibrix_mw.middleware.refusals import RefusalsMiddleware
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.refusals import Refusals
from aibrix_mw.settings import Settings
from aibrix_mw.strategies.catalogue import Catalogue

if TYPE_CHECKING:
    from aibrix_mw.pods.kubernetes.discovery import KubernetesPods


def kubernetes_pods(settings: Settings, registry: PodRegistry) -> "KubernetesPods | None":
    """Discovery by the API server; None when it is off."""
    if not settings.discovery.kubernetes.enabled:
        return None
    try:
        from aibrix_mw.pods.kubernetes.discovery import KubernetesPods
    except ImportError as error:
        reason = "needs the kubernetes package: pip install 'aibrix-mw[kubernetes]'"
        raise ConfigurationError([Fault("discovery.kubernetes.enabled", reason)]) from error
    return KubernetesPods(settings.discovery.kubernetes, registry)


def metrics_layer(
    settings: Settings,
    registry: PodRegistry,
    catalogue: Catalogue,
    *,
    followed: "KubernetesPods | None",
    limiter: Limiter | SharedLimiter,
    quotas: ModelQuotas,
    refusals: Refusals,
    ejected: Callable[[], Iterable[Pod]],
    spans_dropped: Callable[[], int],
) -> tuple[list[Middleware], Exposition | None]:
    """The layer that counts and what the admin port exposes; only failures are noted when metrics are off."""
    if not settings.metrics.enabled:
        return [Middleware(RefusalsMiddleware, refusals=refusals)], None
    try:
        from aibrix_mw.middleware.metrics import MetricsMiddleware
        from aibrix_mw.middleware.plan import ROUTING_HEADERS
        from aibrix_mw.telemetry.discovery import DiscoveryMetrics
        from aibrix_mw.telemetry.limits import LimitMetrics
        from aibrix_mw.telemetry.metrics import GatewayMetrics
    except ImportError as error:
        reason = "needs prometheus_client: pip install 'aibrix-mw[metrics]', or set it to false"
        raise ConfigurationError([Fault("metrics.enabled", reason)]) from error
    metrics = GatewayMetrics(
        registry,
        per_pod=settings.metrics.per_pod,
        strategies=catalogue,
        ejected=ejected,
        spans_dropped=spans_dropped,
    )
    metrics.registry.register(DiscoveryMetrics(registry, followed))
    limits = LimitMetrics(limiter, quotas.limits)
    metrics.registry.register(limits)
    limiter.on_trip = limits.trips[()].observe
    ignored = [name for name in ROUTING_HEADERS if name not in settings.routing.client_headers]
    layer = Middleware(MetricsMiddleware, metrics=metrics, watched=False, refusals=refusals, ignored_headers=ignored)
    return [layer], metrics.exposition
