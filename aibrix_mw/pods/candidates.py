"""Which pods may take a request now."""

from collections.abc import Sequence

from aibrix_mw.errors import FilterMatchesNone, InflightExceeded, NoReadyPods
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.selector import Selector
from aibrix_mw.request import InferenceRequest


def candidates(
    registry: PodRegistry, request: InferenceRequest, selector: Selector | None = None, max_in_flight: int = 0
) -> Sequence[Pod]:
    """Pods that may take the request, at least one; NoReadyPods or FilterMatchesNone when there is none.

    `max_in_flight` bounds the requests on a pod, 0 does not; InflightExceeded when every pod has as many.
    """
    pods: Sequence[Pod] = registry.serving(request.requested_model)
    if not pods:
        raise NoReadyPods(request.model)
    if selector is not None:
        pods = [pod for pod in pods if selector.matches(pod.info.labels)]
        if not pods:
            raise FilterMatchesNone(f"external-filter {selector.text} matches no ready pod of model {request.model}")
    if max_in_flight:
        pods = [pod for pod in pods if pod.in_flight < max_in_flight]
        if not pods:
            raise InflightExceeded(request.model, max_in_flight)
    return pods
