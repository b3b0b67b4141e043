"""Why pods of a model are not among those that a strategy may choose from."""

from collections.abc import Collection

from aibrix_mw.pods.pod import Pod
from aibrix_mw.pods.selector import Selector

REASONS = {
    "not_ready": "its condition Ready is not True",
    "terminating": "it is being deleted",
    "no_address": "it has no IP address yet",
    "worker": "it serves no HTTP: another pod of its group does",
    "invalid_port": "its label model.aibrix.ai/port is no port",
    "other_namespace": "another namespace has the model's name",
    "adapter": "it does not serve the adapter",
    "filter": "external-filter does not match its labels",
    "in_flight": "it has as many requests as its profile's requestsInflight allows",
    "tried": "it has failed this request",
    "ejected": "it failed again and again, and is left out for a while",
    "held_back": "it has just turned Ready, and has had its share for now",
}
"""What each reason means; the first six are discovery's."""


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
