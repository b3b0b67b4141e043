"""What tests of the models ask of a render: one workload, its pod, its container."""

from typing import Any

from tests.chart.cases_models import model
from tests.chart.rendering import Object, find, one, refusal, render

PREFIX = "gw-aibrix-mw-engine-"


def deployment(*parts: Any, of: str = "llama", **values: Any) -> Any:  # noqa: ANN401
    """Return the Deployment of the only model, or of the workload `of`."""
    return one(render(model(*parts, **values)), "Deployment", PREFIX + of)


def template(*parts: Any, **values: Any) -> Any:  # noqa: ANN401
    return deployment(*parts, **values)["spec"]["template"]


def pod(*parts: Any, **values: Any) -> Any:  # noqa: ANN401
    return template(*parts, **values)["spec"]


def container(*parts: Any, **values: Any) -> Any:  # noqa: ANN401
    """Return the engine's container; it is the only one."""
    (found,) = pod(*parts, **values)["containers"]
    return found


def variables(*parts: Any, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the environment by name; each once."""
    env = container(*parts, **values)["env"]
    found = {item["name"]: item.get("value", item.get("valueFrom")) for item in env}
    assert len(found) == len(env)
    return found


def engines(objects: list[Object]) -> dict[str, Any]:
    """Return the engines' Deployments by workload id."""
    return {
        item["metadata"]["name"].removeprefix(PREFIX): item
        for item in find(objects, "Deployment")
        if item["metadata"]["name"].startswith(PREFIX)
    }


def refused(*parts: Any, **values: Any) -> str:  # noqa: ANN401
    """Return what Helm says of a model that it must refuse."""
    return refusal(model(*parts, **values))
