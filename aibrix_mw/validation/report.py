"""What is found in a file, and the check that settings and manifests share: the configuration of a model."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.documents import under
from aibrix_mw.profiles import config_warnings, parse_config
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
    report.faults += [under(where, fault, " ") for fault in Catalogue().faults(config)]
