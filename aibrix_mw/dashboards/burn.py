"""How fast the error budget is spent.

Factors and windows are those of the SRE workbook's chapter *Alerting on SLOs*: 14.4 spends 2 % of a 30-day budget in an
hour, 6 spends 5 % in six, 3 spends 10 % in a day, 1 spends 10 % in three; the short window lets an alert end soon.
"""

from typing import Literal, NamedTuple

from aibrix_mw.dashboards.promql import BUDGETED, CANCELLED, one_of
from aibrix_mw.dashboards.promql import everywhere as ask
from aibrix_mw.dashboards.rules import Alert, Record
from aibrix_mw.telemetry.families import REQUESTS

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


class _Burn(NamedTuple):
    factor: str
    long: str
    short: str
    hold: str
    severity: Literal["critical", "warning"]


_BURNS = (
    _Burn("14.4", "1h", "5m", "2m", "critical"),
    _Burn("6", "6h", "30m", "15m", "critical"),
    _Burn("3", "1d", "2h", "1h", "warning"),
    _Burn("1", "3d", "6h", "3h", "warning"),
)


def _ratio(window: str) -> str:
    return f"job:{REQUESTS.name.removesuffix('_total')}_failed:ratio_rate{window}"


def burn_records() -> tuple[Record, ...]:
    """Shares of failed requests over each window that an alert needs."""
    failed, decided = one_of("outcome", *BUDGETED), f'outcome!="{CANCELLED}"'
    by = "namespace, job"
    return tuple(
        Record(
            name=_ratio(window),
            expr=f"{ask.rate(REQUESTS, by, failed, window=window)}\n"
            f"  / {ask.rate(REQUESTS, by, decided, window=window)}",
        )
        for window in WINDOWS
    )


def burn_alerts(objective: float) -> tuple[Alert, ...]:
    """One alert a factor; `objective` is the share of requests that may not fail."""
    return tuple(_alert(burn, objective) for burn in _BURNS)


def _alert(burn: _Burn, objective: float) -> Alert:
    limit = f"({burn.factor} * {round(1 - objective, 6):g})"
    return Alert(
        name="AibrixGatewayErrorBudgetBurn",
        expr=f"{_ratio(burn.long)} > {limit}\n  and {_ratio(burn.short)} > {limit}",
        hold=burn.hold,
        severity=burn.severity,
        labels={"burn_rate": burn.factor, "window": burn.long},
        summary=f"The error budget of {{{{ $labels.job }}}} is spent {burn.factor} times too fast",
        description=f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} failed, and the "
        f"last {burn.short} are no better; the objective is {100 * objective:g} % without a failure.",
        first_checks=(
            "Board *Gateway overview*: *Requests by outcome* says how they fail, *Failed, by model* whose they are.",
            (
                "`engine_error`: the engines' logs. `upstream_error`, `upstream_timeout`, `stream_truncated`: pods "
                "that die, restart or hang; board *Routing*, *Attempts that failed*. `no_ready_pods`: board *Pods*."
            ),
            (
                "`overloaded`: more gateways, or fewer requests. `store_refused`: the store is away, and "
                "`rate_limit.on_store_error` is `refuse`. `pd_error`: board *Prefill/decode*."
            ),
        ),
    )
