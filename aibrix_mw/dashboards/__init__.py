"""Dashboards of Grafana and alerts of Prometheus, defined in Python; the files in the chart are made of them."""

from pathlib import Path

from aibrix_mw.dashboards import disaggregation, limits, overview, pods, routing, traces
from aibrix_mw.dashboards.alerts import FIRST_TOKEN_TARGET, OBJECTIVE, alerts
from aibrix_mw.dashboards.burn import burn_records
from aibrix_mw.dashboards.rules import REFERENCE, rules_file

BOARDS = (overview.BOARD, routing.BOARD, limits.BOARD, disaggregation.BOARD, pods.BOARD, traces.BOARD)
ALERTS_FILE = "alerts/aibrix-mw.yaml"


def files(
    *, objective: float = OBJECTIVE, first_token: float = FIRST_TOKEN_TARGET, reference: str = REFERENCE
) -> dict[str, str]:
    """Every file by its path; `objective` and `first_token` as for the alerts, `reference` is where runbooks are."""
    made = {f"dashboards/{board.name}.json": board.text() for board in BOARDS}
    made[ALERTS_FILE] = rules_file(burn_records(), alerts(objective, first_token), reference)
    return made


def write(out: Path, made: dict[str, str]) -> None:
    """Write files under a folder, which is made where there is none."""
    for path, text in made.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text)
