"""The gateway's settings: what they are, how they are read, and what is refused.

Values come from, highest first: command-line flags, environment, file, defaults. Everything wrong is reported at
once, each fault with its dotted path and where the value came from; nothing is silently ignored, and no reason
repeats a value that may be secret.

    schema.py    one frozen struct per section: each field with its meaning, unit and bounds
    rules.py     what no single field can say: impossible combinations, renamed keys, what is not supported yet
    forms.py     values whose form a type cannot describe: addresses, paths, URLs
    document.py  YAML text -> values and their lines
    sifting.py   values against the schema, every fault of them
    layers.py    what one source says, and where
    reading.py   files, variables and flags -> Settings
"""

from aibrix_mw.settings.reading import Checked, check, from_dict, load, parse_settings
from aibrix_mw.settings.rules import reloaded, restart_needed
from aibrix_mw.settings.schema import (
    AuthSettings,
    CorsSettings,
    DiscoverySettings,
    EjectionSettings,
    KubernetesSettings,
    LimitsSettings,
    ListenSettings,
    LogSettings,
    MetricsSettings,
    ModelSettings,
    PrefixCacheSettings,
    RateLimitSettings,
    RoutingSettings,
    ScrapeSettings,
    Settings,
    ShutdownSettings,
    StaticSettings,
    StoreSettings,
    StreamSettings,
    TracingSettings,
    UpstreamSettings,
    UserRecord,
    UsersSettings,
    WaitingRoomSettings,
)

__all__ = [
    "AuthSettings",
    "Checked",
    "CorsSettings",
    "DiscoverySettings",
    "EjectionSettings",
    "KubernetesSettings",
    "LimitsSettings",
    "ListenSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelSettings",
    "PrefixCacheSettings",
    "RateLimitSettings",
    "RoutingSettings",
    "ScrapeSettings",
    "Settings",
    "ShutdownSettings",
    "StaticSettings",
    "StoreSettings",
    "StreamSettings",
    "TracingSettings",
    "UpstreamSettings",
    "UserRecord",
    "UsersSettings",
    "WaitingRoomSettings",
    "check",
    "from_dict",
    "load",
    "parse_settings",
    "reloaded",
    "restart_needed",
]
