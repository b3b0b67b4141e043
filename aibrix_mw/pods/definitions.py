"""The models that the settings name: their configuration, aliases and endpoints."""

import logging
from collections.abc import Mapping

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.pods.registry import ModelDefinition, PodRegistry
from aibrix_mw.pods.static import endpoint_pods
from aibrix_mw.profiles import ModelConfig, OwnOptions, parse_config
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
            config = _config(name, model, registry.own_options)
            definitions[name] = ModelDefinition(config=config, aliases=tuple(model.aliases))
            pods += endpoint_pods(name, model.endpoints, engine=model.engine)
        except ConfigurationError as error:
            faults += [Fault(f"models.{name}: {fault.path}", fault.reason) for fault in error.faults]
    if faults:
        raise ConfigurationError(faults)
    registry.define(definitions)
    registry.replace(_SOURCE, pods)


def _config(name: str, model: ModelSettings, own_options: OwnOptions | None) -> ModelConfig | None:
    if model.config is None:
        return None
    config, warnings = parse_config(model.config, own_options)
    for warning in warnings:
        logger.warning("models.%s.config: %s", name, warning)
    return config
