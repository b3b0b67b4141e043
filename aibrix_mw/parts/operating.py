"""What operators get of a gateway: the admin application over its parts."""

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from aibrix_mw.admin import Exposition, create_admin
from aibrix_mw.admin.status import Sources, Status
from aibrix_mw.explain.explainer import Explainer
from aibrix_mw.explain.limits import Counters

if TYPE_CHECKING:  # above this
    from aibrix_mw.app import Gateway


def admin_of(gateway: "Gateway", exposition: Exposition | None) -> Starlette:
    """Metrics, probes, status and explanations of a gateway whose stack is made."""
    limiter, sharing, choosing = gateway.counting.limiter, gateway.sharing, gateway.choosing
    counters = Counters(limiter, gateway.quotas, sharing.users, gateway.access.asked)
    explainer = Explainer(gateway.registry, gateway.layers, counters)
    sources = Sources(
        lifecycle=gateway.lifecycle,
        registry=gateway.registry,
        faults=gateway.faults,
        limiter=limiter,
        quotas=gateway.quotas,
        refusals=gateway.refusals,
        ejected=choosing.admission.ejection.ejected,
        gateways=sharing.live_gateways,
        traces=lambda: gateway.tracing.recent.traces() if gateway.tracing is not None else None,
        watched=choosing.watch,
        default_strategy=choosing.routing.default_strategy,
    )
    return create_admin(gateway.lifecycle, exposition, Status(sources).read, explainer.answer)
