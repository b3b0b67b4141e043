"""What tests of a registry put into it, and ask it."""

import json
from typing import Any

from aibrix_mw.pods.pod import Address, PodInfo


def info(uid, model="m", **changes):
    fields: dict[str, Any] = {"name": f"pod-{uid}", "namespace": "ns", "address": Address("10.0.0.1", 8000)}
    return PodInfo(uid=uid, model=model, **fields | changes)


def annotation(strategy):
    return json.dumps({"profiles": {"default": {"routingStrategy": strategy}}})


def known(registry, name="m"):
    served = registry.find(name)
    assert served is not None
    return served


def strategy(registry, name="m"):
    return known(registry, name).config.profiles["default"].routing_strategy


def uids(registry, name="m"):
    return [pod.uid for pod in registry.serving(name)]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now
