"""What the registry knows of one model, and what it tells of it."""

import math
from functools import lru_cache

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.pod import Pod
from aibrix_mw.profiles import BUILT_IN, ModelConfig, OwnOptions, parse_config

Faults = tuple[Fault, ...]

NOTHING: tuple[Pod, ...] = ()


class ModelDefinition(msgspec.Struct, frozen=True):
    """What the settings say of a model: it exists whether or not it has pods.

    `config` wins over annotations; an alias is a further name whose requests are rewritten to the model's own.
    """

    config: ModelConfig | None = None
    aliases: tuple[str, ...] = ()


class Served(msgspec.Struct, frozen=True):
    """What a name that a client writes stands for, as of one moment.

    `pods` are the routable ones; `rewrite` is true for an alias, whose requests reach the engine under `model`.
    """

    model: str
    pods: tuple[Pod, ...]
    config: ModelConfig
    rewrite: bool = False


class ModelState:
    """Everything known of one model."""

    __slots__ = ("annotated", "config", "config_faults", "definition", "left", "members", "names")

    def __init__(self) -> None:
        self.members: dict[str, Pod] = {}
        self.definition: ModelDefinition | None = None
        self.annotated: ModelConfig = BUILT_IN
        self.config: ModelConfig = BUILT_IN
        self.config_faults: Faults = ()
        # when its last pod left; None while it has one, and a model that never had one is not remembered
        self.left: float | None = -math.inf
        self.names: set[str] = set()

    def routable(self) -> tuple[Pod, ...]:
        """The pods that may take requests."""
        return tuple(pod for pod in self.members.values() if pod.info.excluded is None)

    def choose_config(
        self, name: str, routable: tuple[Pod, ...], own_options: OwnOptions | None
    ) -> list[tuple[Pod, Faults, Faults]]:
        """Settings first, else the newest Ready pod with a valid annotation, else the last valid one.

        Returns the pods' faults and warnings.
        """
        notes = [(pod, *_read_annotation(name, pod, own_options)) for pod in routable if pod.info.config is not None]
        self.config_faults = tuple(fault for _, _, faults, _ in notes for fault in faults)
        valid = [(pod.info.created, pod.info.name, config) for pod, config, _, _ in notes if config is not None]
        if valid:
            self.annotated = max(valid, key=lambda item: item[:2])[2]
        elif routable and not notes:
            self.annotated = BUILT_IN
        defined = self.definition.config if self.definition is not None else None
        self.config = self.annotated if defined is None else defined
        return [(pod, faults, warnings) for pod, _, faults, warnings in notes]


def _read_annotation(name: str, pod: Pod, own_options: OwnOptions | None) -> tuple[ModelConfig | None, Faults, Faults]:
    config, faults, warnings = _parse_annotation(pod.info.config or "", own_options)
    if not faults and not warnings:
        return config, (), ()
    where = f"pod {pod.info.namespace}/{pod.info.name}, model {name}: annotation model.aibrix.ai/config"
    named = tuple(Fault(f"{where} {fault.path}", fault.reason) for fault in faults)
    return config, named, tuple(Fault(where, warning) for warning in warnings)


@lru_cache(maxsize=4096)
def _parse_annotation(raw: str, own_options: OwnOptions | None) -> tuple[ModelConfig | None, Faults, tuple[str, ...]]:
    try:
        config, warnings = parse_config(raw, own_options)
    except ConfigurationError as error:
        return None, tuple(error.faults), ()
    return config, (), warnings
