"""Limits: how near they are, who is refused, and how well they are counted."""

from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row, percentiles
from aibrix_mw.dashboards.promql import ask, one_of, share
from aibrix_mw.dashboards.variables import USUAL
from aibrix_mw.telemetry import families as names

_REFUSALS = one_of("outcome", "limited", "user_limited", "inflight_limited")
_PASSED = 'outcome!="limited"'
_OF_A_PROFILE = ask.fact(names.RPS_LIMIT, "model, profile", 'profile!=""') + " > 0"
_OF_A_MODEL = ask.fact(names.RPS_LIMIT, "model", 'profile=""') + " > 0"
_BY_PROFILE = ask.rate(names.REQUESTS, "model, profile", _PASSED)

_USE = Row(
    "Use",
    (
        Panel(
            title="Used of a profile's limit",
            description="Requests a second that passed, against requestsPerSecond of their profile. The mean hides "
            "bursts: windows are of one second.",
            queries=(Query(f"{_BY_PROFILE} / on (model, profile) ({_OF_A_PROFILE})", "{{model}} / {{profile}}"),),
            unit="percentunit",
            steps=((1, "red"),),
        ),
        Panel(
            title="Used of a model's limit",
            description="All profiles together, where the model itself has requestsPerSecond.",
            queries=(Query(f"{ask.rate(names.REQUESTS, 'model', _PASSED)} / on (model) ({_OF_A_MODEL})", "{{model}}"),),
            unit="percentunit",
            steps=((1, "red"),),
        ),
        Panel(
            title="Limits in force",
            description="Requests a second by model and profile; without a profile: the model's own.",
            queries=(Query(ask.fact(names.RPS_LIMIT, "model, profile"), "{{model}} / {{profile}}"),),
            unit="reqps",
        ),
    ),
)

_REFUSED = Row(
    "Refused",
    (
        Panel(
            title="Over requestsPerSecond",
            description="429 by model and profile.",
            queries=(Query(ask.rate(names.RPS_REJECTIONS, "model, profile"), "{{model}} / {{profile}}"),),
            unit="reqps",
            width=6,
        ),
        Panel(
            title="All refusals for a limit",
            description="limited: of the model; user_limited: requests or tokens of a user; inflight_limited: every "
            "pod has as many requests as the profile allows.",
            queries=(
                Query(
                    ask.rate(
                        names.REQUESTS, "outcome", one_of("outcome", "limited", "user_limited", "inflight_limited")
                    ),
                    "{{outcome}}",
                ),
            ),
            unit="reqps",
            stacked=True,
            width=6,
        ),
        Panel(
            title="Share of 429",
            description="Of a model's requests; the dashed line is the alert.",
            queries=(
                Query(
                    share(ask.rate(names.REQUESTS, "model", 'code="429"'), ask.rate(names.REQUESTS, "model")),
                    "{{model}}",
                ),
            ),
            unit="percentunit",
            steps=((0.2, "red"),),
            width=6,
        ),
        Panel(
            title="Refunds",
            description="Requests that were counted, reached no engine, and gave their hit back.",
            queries=(Query(ask.rate(names.RPS_REFUNDS, "model, profile"), "{{model}} / {{profile}}"),),
            unit="reqps",
            width=6,
        ),
    ),
)

_SECONDS_AWAY = f"max(avg_over_time({ask.select(names.STORE_LOCAL)}[$__range])) * $__range_s"
_LOCAL = f"max by (instance) ({ask.select(names.STORE_LOCAL)})"
_STORE = Row(
    "The store that counts",
    (
        Panel(
            title="Counts are shared",
            description="No: every replica counts for itself, and lets the whole limit pass.",
            queries=(Query(f"min({ask.select(names.STORE_SHARED)})", "shared"),),
            kind="stat",
            steps=((0, "yellow"), (1, "green")),
            words=((0, "no"), (1, "yes")),
            width=4,
        ),
        Panel(
            title="Seconds counted locally",
            description="Of the time shown, by the replica that was longest without its store.",
            queries=(Query(f"max(avg_over_time({ask.select(names.STORE_LOCAL)}[$__range])) * $__range_s", "seconds"),),
            kind="stat",
            unit="s",
            steps=((1, "yellow"), (120, "red")),
            width=4,
        ),
        Panel(
            title="Store away",
            description="Replicas that count locally, let all pass or refuse, as rate_limit.on_store_error says.",
            queries=(Query(_LOCAL, "{{instance}}"),),
            kind="state-timeline",
            steps=((1, "red"),),
            words=((0, "there"), (1, "away")),
            width=16,
        ),
        Panel(
            title="Trips to the store",
            description="Many requests share one trip; above 50 ms (store.timeout) it is given up.",
            queries=percentiles((0.5, 0.99), names.STORE_DURATION),
            unit="s",
            steps=((0.02, "red"),),
        ),
        Panel(
            title="Trips",
            description="Trips a second by replica.",
            queries=(Query(ask.events(names.STORE_DURATION, "instance"), "{{instance}}"),),
            unit="ops",
        ),
        Panel(
            title="Decided without the store",
            description="Requests while the store was away or a trip failed.",
            queries=(Query(ask.rate(names.STORE_ERRORS, "instance"), "{{instance}}"),),
            unit="reqps",
        ),
    ),
)

BOARD = Board(
    name="limits",
    title="Limits",
    description="Requests against their limits, refusals, refunds, and the store that counts.",
    variables=USUAL,
    rows=(_USE, _REFUSED, _STORE),
)
