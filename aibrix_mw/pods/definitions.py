"""The models that the settings name: their configuration, aliases and endpoints."""

import logging
from collections.abc import Mapping

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.documents import under
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from aibrix_mw.pods.static import endpoint_pods
from aibrix_mw.profiles import parse_config
from aibrix_mw.settings import ModelSettings

logger = logging.getLogger("aibrix_mw")

_SOURCE = "settings"


def define_models(registry: PodRegistry, models: Mapping[str, ModelSettings]) -> None:
    """Make these the registry's defined models and endpoints. ConfigurationError, with every fault, changes nothing."""
    faults: list[Fault] = []
    definitions: dict[str, ModelDefinition] = {}
    pods: list[PodInfo] = []
    for name, model in models.items():
        try:
            definitions[name] = _definition(registry, name, model)
        except ConfigurationError as error:
            faults += [under(f"models.{name}.config", fault, " ") for fault in error.faults]
        try:
            pods += endpoint_pods(name, model.endpoints, engine=model.engine)
        except ConfigurationError as error:
            faults += [under(f"models.{name}.endpoints", fault, ": ") for fault in error.faults]
    if faults:
        raise ConfigurationError(faults)
    registry.define(definitions)
    registry.replace(_SOURCE, pods)


def _definition(registry: PodRegistry, name: str, model: ModelSettings) -> ModelDefinition:
    if model.config is None:
        return ModelDefinition(aliases=model.aliases)
    config, warnings = parse_config(model.config, registry.own_options)
    where = f"models.{name}.config"
    faults = tuple(under(where, fault, " ") for fault in registry.check(config))
    return ModelDefinition(config, model.aliases, faults, tuple(Fault(where, warning) for warning in warnings))
