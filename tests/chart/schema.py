"""chart/values.schema.json: its settings come from the package, all else is written by hand.

`python -m tests.chart.schema` brings the file up to date, in one form; a test holds that it is.
"""

import json
from typing import Any

import msgspec

from aibrix_mw.settings import Settings
from tests.chart.rendering import CHART

PATH = CHART / "values.schema.json"
WIDTH = 118
# settings on which other objects of the chart depend: values.yaml has them, and they cannot be taken away
NEEDED = {
    "Settings": ["listen", "discovery", "limits", "shutdown"],
    "ListenSettings": ["port", "admin_port"],
    "DiscoverySettings": ["kubernetes"],
    "KubernetesSettings": ["enabled", "namespaces", "emit_events"],
    "LimitsSettings": ["max_body_bytes", "max_buffered_bytes", "max_in_flight"],
    "ShutdownSettings": ["delay", "grace"],
}


def settings_definitions() -> dict[str, Any]:
    """Return the `$defs` of the gateway's settings, without their defaults: those are the gateway's own."""
    definitions: dict[str, Any] = msgspec.json.schema(Settings)["$defs"]
    for name, needed in NEEDED.items():
        definitions[name]["required"] = needed
    return {name: _without_noise(definition) for name, definition in sorted(definitions.items())}


def _without_noise(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_noise(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: item for key, item in schema.items() if key == "properties" or key not in ("default", "title")}
    if "properties" in kept:
        kept["properties"] = {name: _without_noise(item) for name, item in kept["properties"].items()}
    return {key: item if key == "properties" else _without_noise(item) for key, item in kept.items()}


def written(value: Any, indent: int = 0, behind: int = 0) -> str:
    """Return JSON in which what fits on a line is on one; `behind` are the characters already on it."""
    flat = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or (indent and indent + behind + len(flat) <= WIDTH):
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, list):
        parts = [written(item, indent + 2) for item in value]
        opening, closing = "[]"
    else:
        parts = [f'"{key}": {written(item, indent + 2, len(key) + 5)}' for key, item in value.items()]
        opening, closing = "{}"
    return opening + "\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + closing


def current() -> str:
    """Return the file as it must be: what is written by hand, with the settings of this package."""
    schema = json.loads(PATH.read_text())
    own = {name: item for name, item in schema.pop("$defs").items() if not name[0].isupper()}
    schema["$defs"] = {**own, **settings_definitions()}
    return written(schema) + "\n"


if __name__ == "__main__":
    PATH.write_text(current())
