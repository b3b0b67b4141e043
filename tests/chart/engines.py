"""What tests of the models ask of a render: one workload, its pod, its container."""

from typing import Any

from tests.chart.cases_models import model
from tests.chart.pieces import PER_REPLICA, merged
from tests.chart.rendering import Object, find, one, refusal, render

PREFIX = "gw-aibrix-mw-engine-"


def deployment(*parts: Any, of: str = "llama", **values: Any) -> Any:
    """Return the Deployment of the only model, or of the workload `of`."""
    return one(render(model(*parts, **values)), "Deployment", PREFIX + of)


def template(*parts: Any, **values: Any) -> Any:
    return deployment(*parts, **values)["spec"]["template"]


def pod(*parts: Any, **values: Any) -> Any:
    return template(*parts, **values)["spec"]


def container(*parts: Any, **values: Any) -> Any:
    """Return the engine's container; it is the only one."""
    (found,) = pod(*parts, **values)["containers"]
    return found


def variables(*parts: Any, **values: Any) -> dict[str, Any]:
    """Return the environment by name; each once."""
    env = container(*parts, **values)["env"]
    found = {item["name"]: item.get("value", item.get("valueFrom")) for item in env}
    assert len(found) == len(env)
    return found


def annotations(*parts: Any, **values: Any) -> Any:
    """Return the pods' annotations, by key; limits are the gateways' own affair."""
    found = engines(render(merged(model(*parts, **values), PER_REPLICA)))
    return found["llama"]["spec"]["template"]["metadata"]["annotations"]


def engines(objects: list[Object]) -> dict[str, Any]:
    """Return the engines' Deployments by workload id."""
    return {
        item["metadata"]["name"].removeprefix(PREFIX): item
        for item in find(objects, "Deployment")
        if item["metadata"]["name"].startswith(PREFIX)
    }


def refused(*parts: Any, **values: Any) -> str:
    """Return what Helm says of a model that it must refuse."""
    return refusal(model(*parts, **values))
