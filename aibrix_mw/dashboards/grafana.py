"""Panels and boards as Grafana's JSON, without a word of Grafana in the definitions that use them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from aibrix_mw.dashboards.promql import ask
from aibrix_mw.telemetry.families import Family

COLUMNS = 24
SCHEMA_VERSION = 39
TAG = "aibrix-mw"

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "heatmap", "state-timeline", "bargauge", "table", "text"]

PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
TEMPO: Json = {"type": "tempo", "uid": "${tempo}"}


class Query(msgspec.Struct, frozen=True):
    """One expression, and how its series are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


def percentiles(shares: tuple[float, ...], family: Family, by: str = "") -> tuple[Query, ...]:
    """Quantiles of one of our histograms, as p50 and the like, by a label if one is given."""
    series = f"{{{{{by}}}}} p" if by else "p"
    return tuple(Query(ask.quantile(share, family, by), f"{series}{share * 100:g}") for share in shares)


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One picture. `steps` are (value, colour) from which on a value is shown so; `kind` text shows the description.

    `words` are shown in the place of values. `exemplars`: requests whose trace is known are dots that lead to it.
    """

    title: str
    description: str
    queries: tuple[Query, ...] = ()
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: tuple[tuple[float, str], ...] = ()
    words: tuple[tuple[int, str], ...] = ()
    stacked: bool = False
    minimum: float | None = 0
    maximum: float | None = None
    traceql: bool = False
    exemplars: bool = False


class Row(msgspec.Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A choice at the head of a board: a data source of this `kind`, values of a label, or a text."""

    name: str
    label: str
    kind: str
    query: str


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard; `name` is the file's and the uid's."""

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """Every panel, in order."""
        for row in self.rows:
            yield from row.panels

    def text(self) -> str:
        """The file that Grafana imports."""
        return json.dumps(board_json(self), indent=2) + "\n"


def board_json(board: Board) -> Json:
    """A dashboard as Grafana stores it."""
    return {
        "uid": f"{TAG}-{board.name}",
        "title": f"aibrix_mw / {board.title}",
        "description": board.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "aibrix_mw", "tags": [TAG], "asDropdown": True, "includeVars": True}
            | {"keepTime": True, "icon": "external link"}
        ],
        "templating": {"list": [_variable(variable) for variable in board.variables]},
        "annotations": {"list": []},
        "panels": list(_laid_out(board.rows)),
    }


def _variable(variable: Variable) -> Json:
    common = {"name": variable.name, "label": variable.label, "hide": 0}
    if variable.kind == "label":
        return common | {
            "type": "query",
            "datasource": PROMETHEUS,
            "query": {"query": variable.query, "refId": variable.name},
            "definition": variable.query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",  # matches what has no such label too
            "current": {"text": ["All"], "value": ["$__all"]},
        }
    if variable.kind == "text":
        current = {"text": variable.query, "value": variable.query}
        return common | {"type": "textbox", "query": variable.query, "current": current}
    return common | {"type": "datasource", "query": variable.kind, "current": {}, "includeAll": False, "multi": False}


def _laid_out(rows: Sequence[Row]) -> Iterator[Json]:
    """Rows and panels with their places: from left to right, and down where there is no room."""
    identity = y = 0
    for row in rows:
        identity += 1
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {"id": identity, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            identity += 1
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield {"id": identity, "gridPos": place} | panel_json(panel)
            x, height = x + panel.width, max(height, panel.height)
        y += height


def panel_json(panel: Panel) -> Json:
    """A panel without its place."""
    if panel.kind == "text":
        content = {"mode": "markdown", "content": panel.description}
        return {"type": "text", "title": panel.title, "options": content, "transparent": True}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": TEMPO if panel.traceql else PROMETHEUS,
        "targets": [_target(panel, query, chr(ord("A") + at)) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, ref: str) -> Json:
    if panel.traceql:
        found = {"limit": 20, "tableType": "spans"} if panel.kind == "table" else {"metricsQueryType": "range"}
        return {"refId": ref, "datasource": TEMPO, "queryType": "traceql", "query": query.expr} | found
    now = panel.kind == "bargauge"
    asked = {"expr": query.expr, "legendFormat": query.legend or "__auto", "instant": now, "range": not now}
    asked |= {"format": "heatmap"} if panel.kind == "heatmap" else {}
    asked |= {"exemplar": True} if panel.exemplars else {}
    return {"refId": ref, "datasource": PROMETHEUS} | asked


def _field(panel: Panel) -> Json:
    steps = [{"value": value, "color": color} for value, color in panel.steps]
    field: Json = {
        "unit": panel.unit,
        "color": _color(panel),
        "mappings": [{"type": "value", "options": {str(value): {"text": text} for value, text in panel.words}}]
        if panel.words
        else [],
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "green"}, *steps]},
        "custom": _CUSTOM.get(panel.kind, {}),
    }
    if panel.kind == "timeseries":
        field["custom"] = _CUSTOM["timeseries"] | _drawn(panel)
    field |= {} if panel.minimum is None else {"min": panel.minimum}
    field |= {} if panel.maximum is None else {"max": panel.maximum}
    return field


def _color(panel: Panel) -> Json:
    """Series have the colour of their name; one number is judged by its steps, or only told."""
    if panel.kind == "stat" and not panel.steps:
        return {"mode": "fixed", "fixedColor": "blue"}
    return {"mode": "thresholds" if panel.steps and panel.kind != "timeseries" else "palette-classic-by-name"}


_CUSTOM: dict[str, Json] = {
    "timeseries": {"lineWidth": 1, "lineInterpolation": "linear", "showPoints": "never", "spanNulls": False},
    "state-timeline": {"fillOpacity": 80, "lineWidth": 0},
}


def _drawn(panel: Panel) -> Json:
    """Stacked areas for parts of a whole, lines for all else; a threshold is a line too."""
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    limit = {"thresholdsStyle": {"mode": "dashed"}} if panel.steps else {}
    return {"fillOpacity": 30 if panel.stacked else 8, "stacking": stacking} | limit


def _options(panel: Panel) -> Json:
    last = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if panel.kind == "stat":
        color = "background" if panel.steps else "value"
        return last | {"colorMode": color, "graphMode": "area", "textMode": "auto", "justifyMode": "center"}
    if panel.kind == "bargauge":
        return last | {"displayMode": "lcd", "orientation": "horizontal", "showUnfilled": True}
    if panel.kind == "heatmap":
        scheme = {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5}
        axis = {"unit": panel.unit}
        return {
            "calculate": False,
            "color": scheme,
            "yAxis": axis,
            "cellGap": 1,
            "tooltip": {"show": True, "yHistogram": True},
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]}
    if panel.kind == "state-timeline":
        return {"mergeValues": True, "showValue": "never", "rowHeight": 0.8, "legend": legend | {"calcs": []}}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
