"""A routing strategy of your own: one class, a name for it, and a profile that uses it.

The default profile of my-model is routed by it; other requests ask for it with `routing-strategy: fill-first`. The
engines to try it with are those of gateway.py. Without a program of your own, the class is named in place of a name:
    PYTHONPATH=examples aibrix-mw serve --pod my-model=http://127.0.0.1:9001 --pod my-model=http://127.0.0.1:9002 \
        --default-strategy own_strategy:FillFirst
"""

from typing import Annotated, ClassVar

import uvicorn
from msgspec import Meta

from aibrix_mw.app import create_app
from aibrix_mw.pods.pod import Target
from aibrix_mw.request import InferenceRequest
from aibrix_mw.strategies.base import Pods, Strategy, least_in_flight


class FillFirst(Strategy):
    """Fills the pods one after the other, so that the last ones idle at night and can be scaled away."""

    option_types: ClassVar = {"depth": Annotated[int, Meta(ge=1)]}  # keys of routingConfig, checked when it is read

    def pick(self, request: InferenceRequest, pods: Pods, /) -> Target:
        """The first pod by name with room; the least loaded one when all are full."""
        depth = self.options.get("depth", 8)  # requests that a pod takes before the next one gets any
        for pod in sorted(pods, key=lambda pod: pod.info.name):
            if pod.in_flight < depth:
                return Target(pod)
        return Target(least_in_flight(pods, self.rng))


SETTINGS = {
    "models": {
        "my-model": {
            "endpoints": ["http://127.0.0.1:9001", "http://127.0.0.1:9002"],
            "config": {
                "profiles": {
                    "default": {"routingStrategy": "fill-first", "routingConfig": {"depth": 4}},
                    "even": {"routingStrategy": "least-request"},
                }
            },
        }
    }
}

app = create_app(SETTINGS, strategies={"fill-first": FillFirst})

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8080)
