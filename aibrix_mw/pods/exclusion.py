"""Why pods of a model are not among those that a strategy may choose from."""

from collections.abc import Collection

from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.selector import Selector


def exclusion(
    pod: Pod,
    *,
    tried: Collection[Pod] = (),
    selector: Selector | None = None,
    max_in_flight: int = 0,
    ejected: Collection[Pod] = (),
) -> str:
    """The first reason why a pod is no candidate: discovery's (see `PodInfo.excluded`), else one of the request's.

    `filter`: the client's label selector; `in_flight`: as many requests as it may have; `tried`: it has failed this
    request; `ejected`: it fails again and again; `held_back`: it is not warm yet, or does not serve the adapter.
    """
    if pod.info.excluded is not None:
        return pod.info.excluded
    if selector is not None and not selector.matches(pod.info.labels):
        return "filter"
    if max_in_flight and pod.in_flight >= max_in_flight:
        return "in_flight"
    if pod in tried:
        return "tried"
    return "ejected" if pod in ejected else "held_back"
