"""What is found in a file, and the check that settings and manifests share: the configuration of a model."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault, UnknownStrategy
from aibrix_mw.pods.documents import under
from aibrix_mw.profiles import ModelConfig, config_warnings, parse_config
from aibrix_mw.profiles.selection import json_path
from aibrix_mw.strategies.catalogue import Catalogue


class Report(msgspec.Struct):
    """What a file is, what is wrong in it, and what works but is probably not meant."""

    kind: str = "unknown"
    faults: list[Fault] = []
    warnings: list[str] = []

    def warn(self, path: str, reason: str) -> None:
        """Add a warning."""
        self.warnings.append(f"{path}: {reason}" if path else reason)


def check_config(raw: str | Mapping[str, Any], where: str, report: Report) -> None:
    """Check an annotation, or what settings say in its place; `where` comes before each JSON path."""
    try:
        config, warnings = parse_config(raw, Catalogue().own_options)
    except ConfigurationError as error:
        report.faults += [under(where, fault, " ") for fault in error.faults]
        return
    report.warnings += [f"{where} {warning}".lstrip() for warning in (*warnings, *config_warnings(config))]
    for path, spec, options in _strategies(config):
        check_strategy(f"{where} {path}".lstrip(), spec, options, report)


def _strategies(config: ModelConfig) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every strategy that the configuration names, with its JSON path and its options."""
    if config.locked_routing_strategy:
        yield "$.lockedRoutingStrategy", config.locked_routing_strategy, {}
    for name, profile in config.profiles.items():
        if profile.routing_strategy:
            path = json_path("$.profiles", name)
            yield f"{path}.routingStrategy", profile.routing_strategy, profile.routing_config


def check_strategy(path: str, spec: str, options: dict[str, Any], report: Report) -> None:
    """Check that the gateway has this strategy: requests that need another one get 400."""
    try:
        Catalogue().get(spec, options)
    except UnknownStrategy as error:
        report.faults.append(Fault(path, f"{error.message}: {error.reason}"))
