"""Which pods may take a request now."""

from collections.abc import Sequence

from aibrix_mw.errors import FilterMatchesNone, NoReadyPods
from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.registry import PodRegistry
from aibrix_mw.pods.selector import Selector
from aibrix_mw.request import InferenceRequest


def candidates(registry: PodRegistry, request: InferenceRequest, selector: Selector | None = None) -> Sequence[Pod]:
    """Pods that may take the request, at least one; NoReadyPods or FilterMatchesNone when there is none."""
    pods = registry.serving(request.requested_model)
    if not pods:
        raise NoReadyPods(request.model)
    if selector is None:
        return pods
    matching = [pod for pod in pods if selector.matches(pod.info.labels)]
    if not matching:
        raise FilterMatchesNone(f"external-filter {selector.text} matches no ready pod of model {request.model}")
    return matching
