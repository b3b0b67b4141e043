"""Boards as Grafana reads them."""

import json
import re

import pytest

from aibrix_mw.dashboards import BOARDS
from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row, board_json, panel_json
from aibrix_mw.dashboards.variables import USUAL

every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
KNOWN = {"datasource", "namespace", "job", "model", "tempo", "service", "jaeger"}


def drawn(board):
    """Panels of the file, without the headings of rows."""
    return [panel for panel in json.loads(board.text())["panels"] if panel["type"] != "row"]


def test_six_boards():
    titles = ["Gateway overview", "Routing", "Limits", "Prefill/decode", "Pods", "Traces"]
    assert [board.title for board in BOARDS] == titles
    assert len({board.name for board in BOARDS}) == 6


@every_board
def test_no_panel_lies_upon_another(board):
    taken = set()
    panels = json.loads(board.text())["panels"]
    for place in (panel["gridPos"] for panel in panels):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@every_board
def test_every_data_source_is_a_variable(board):
    found = re.findall(r'"uid": "([^"]*)"', board.text())
    assert {*found} <= {f"aibrix-mw-{board.name}", "${datasource}", "${tempo}"}
    for variable in re.findall(r"\$\{?([a-z]\w+)", board.text()):
        assert variable in {chosen.name for chosen in board.variables}
        assert variable in KNOWN


@every_board
def test_every_panel_says_what_it_shows(board):
    for panel in drawn(board):
        if panel["type"] == "text":
            continue
        assert panel["title"]
        assert panel["description"].rstrip("`").endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        if panel["type"] == "timeseries":
            assert all(target.get("legendFormat") != "__auto" for target in panel["targets"])
            assert panel["options"]["legend"]["calcs"] == ["lastNotNull", "max"]


@every_board
def test_rates_come_before_sums_and_facts_are_no_sums(board):
    for query in (query for panel in board.panels() if not panel.traceql for query in panel.queries):
        assert not re.search(r"rate\(\s*(sum|max)", query.expr)
        assert "histogram_quantile" not in query.expr or re.search(r"sum by \([^)]*le\) \(rate\(", query.expr)
        assert not re.search(r"sum[^(]*\([^(]*\((ready_pods|rps_limit|store_|flapping|excluded)", query.expr)


def test_places():
    panel = Panel(title="t", description="d.", queries=(Query("up"),), width=10, height=5)
    rows = (Row("one", (panel, panel, panel)), Row("two", (panel,)))
    board = Board(name="b", title="B", description="", variables=USUAL, rows=rows)
    places = [tuple(panel["gridPos"].values()) for panel in board_json(board)["panels"]]
    first = [(0, 0, 24, 1), (0, 1, 10, 5), (10, 1, 10, 5), (0, 6, 10, 5)]
    assert places == [*first, (0, 11, 24, 1), (0, 12, 10, 5)]


@pytest.mark.parametrize("kind", ["stat", "bargauge", "heatmap", "state-timeline", "timeseries"])
def test_kinds(kind):
    panel = Panel(title="t", description="d.", queries=(Query("up", "{{job}}"),), kind=kind, steps=((1, "red"),))
    board = Board(name="b", title="B", description="", variables=(), rows=(Row("r", (panel,)),))
    (made,) = drawn(board)
    assert made["type"] == kind
    assert made["targets"][0]["instant"] == (kind == "bargauge")
    assert made["targets"][0].get("format") == ("heatmap" if kind == "heatmap" else None)
    assert made["fieldConfig"]["defaults"]["thresholds"]["steps"][1] == {"value": 1, "color": "red"}
    assert made["options"]


@pytest.mark.parametrize(("steps", "shown"), [((), ("fixed", "value")), (((1, "red"),), ("thresholds", "background"))])
def test_a_number_is_judged_only_where_there_is_a_bound(steps, shown):
    panel = Panel(title="t", description="d.", queries=(Query("up"),), kind="stat", steps=steps, words=((0, "no"),))
    made = panel_json(panel)
    assert (made["fieldConfig"]["defaults"]["color"]["mode"], made["options"]["colorMode"]) == shown
    assert made["fieldConfig"]["defaults"]["mappings"] == [{"type": "value", "options": {"0": {"text": "no"}}}]
