"""Config profiles: the `model.aibrix.ai/config` annotation and which of its profiles applies to a request.

selection.py   what an annotation says, and which profile applies
annotation.py  JSON text -> that, or every fault in it
"""

from aibrix_mw.profiles.annotation import OwnOptions, parse_config
from aibrix_mw.profiles.fields import Reader
from aibrix_mw.profiles.selection import (
    BUILT_IN,
    BUILT_IN_PROFILE,
    ConfigProfile,
    ModelConfig,
    config_warnings,
    source_of,
)

__all__ = [
    "BUILT_IN",
    "BUILT_IN_PROFILE",
    "ConfigProfile",
    "ModelConfig",
    "OwnOptions",
    "Reader",
    "config_warnings",
    "parse_config",
    "source_of",
]
