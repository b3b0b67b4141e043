"""What the registry knows of one model, and what it tells of it."""

import math
from collections.abc import Callable, Iterable

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.pod import Pod
from aibrix_mw.profiles import BUILT_IN, ModelConfig, OwnOptions, parse_config

Faults = tuple[Fault, ...]
Check = Callable[[ModelConfig], Iterable[Fault]]
Annotation = tuple[ModelConfig | None, Faults, tuple[str, ...]]
ReadAnnotation = Callable[[str], Annotation]

NOTHING: tuple[Pod, ...] = ()


class ModelDefinition(msgspec.Struct, frozen=True):
    """What the settings say of a model: it exists whether or not it has pods.

    `config` wins over annotations, and `faults` and `warnings` are about it; an alias is a further name whose requests
    are rewritten to the model's own.
    """

    config: ModelConfig | None = None
    aliases: tuple[str, ...] = ()
    faults: Faults = ()
    warnings: Faults = ()


class Served(msgspec.Struct, frozen=True):
    """What a name that a client writes stands for, as of one moment.

    `pods` are the routable ones, or else those of the last resort; `rewrite` is the name under which requests reach the
    engine, where that is not the one that the client writes: of an alias, or of a model named with its namespace.
    `alias` says that the name is only another one of the model itself; an adapter is not.
    """

    model: str
    pods: tuple[Pod, ...]
    config: ModelConfig
    rewrite: str | None = None
    alias: bool = False


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

    def usable(self, routable: tuple[Pod, ...], adapter: str | None, *, last_resort: bool) -> tuple[Pod, ...]:
        """Those of the routable pods that serve an adapter; when there are none, maybe those of the last resort."""
        pods = routable if adapter is None else tuple(pod for pod in routable if adapter in pod.info.adapters)
        if pods or not last_resort:
            return pods
        leaving = [pod for pod in self.members.values() if pod.info.last_resort]
        return tuple(pod for pod in leaving if adapter is None or adapter in pod.info.adapters)

    def prefix(self) -> str:
        """What this model's names have in front of those that the engines know."""
        return next((pod.info.prefix for pod in self.members.values()), "")

    def choose_config(
        self, name: str, routable: tuple[Pod, ...], read: ReadAnnotation
    ) -> list[tuple[str, Faults, Faults]]:
        """Settings first, else the newest Ready pod with a valid annotation, else the last valid one.

        Returns what is to be reported: the pod's uid or, for the settings, the model's name; faults; warnings.
        """
        notes = [(pod, *_named(name, pod, read)) for pod in routable if pod.info.config is not None]
        reports = [(pod.uid, faults, warnings) for pod, _, faults, warnings in notes]
        if self.definition is not None:
            reports.append((name, self.definition.faults, self.definition.warnings))
        self.config_faults = tuple(fault for _, faults, _ in reports for fault in faults)
        valid = [(pod.info.created, pod.info.name, config) for pod, config, _, _ in notes if config is not None]
        if valid:
            self.annotated = max(valid, key=lambda item: item[:2])[2]
        elif routable and not notes:
            self.annotated = BUILT_IN
        defined = self.definition.config if self.definition is not None else None
        self.config = self.annotated if defined is None else defined
        return reports


def _named(name: str, pod: Pod, read: ReadAnnotation) -> tuple[ModelConfig | None, Faults, Faults]:
    """Read a pod's annotation; what is wrong with it says where it stands."""
    config, faults, warnings = read(pod.info.config or "")
    if not faults and not warnings:
        return config, (), ()
    where = f"pod {pod.info.namespace}/{pod.info.name}, model {name}: annotation model.aibrix.ai/config"
    named = tuple(Fault(f"{where} {fault.path}", fault.reason) for fault in faults)
    return config, named, tuple(Fault(where, warning) for warning in warnings)


def read_annotation(check: Check, own_options: OwnOptions | None, raw: str) -> Annotation:
    """The configuration, None when it cannot be used; what is wrong, which `check` adds to; and warnings."""
    try:
        config, warnings = parse_config(raw, own_options)
    except ConfigurationError as error:
        return None, tuple(error.faults), ()
    return config, tuple(check(config)), warnings
