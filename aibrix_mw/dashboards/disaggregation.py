"""Prefill/decode: the prefill leg, its failures, and requests that went without."""

from aibrix_mw.dashboards import engines
from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row, percentiles
from aibrix_mw.dashboards.promql import ask, share
from aibrix_mw.dashboards.variables import USUAL
from aibrix_mw.telemetry import families as names

_PREFILLS = ask.events(names.PD_PREFILL_DURATION, "model")
_ROUTED = ask.events(names.ROUTING_DURATION, "model")

_LEGS = Row(
    "The prefill leg",
    (
        Panel(
            title="Prefills",
            description="Prefill legs a second.",
            queries=(Query(_PREFILLS, "{{model}}"),),
            unit="reqps",
        ),
        Panel(
            title="Prefill duration",
            description="From sent to answered: queue and computation on the prefill pod.",
            queries=percentiles((0.5, 0.95, 0.99), names.PD_PREFILL_DURATION, "model"),
            unit="s",
        ),
        Panel(
            title="Distribution of prefill durations",
            description="How many prefills took how long.",
            queries=(Query(ask.rate(names.PD_PREFILL_DURATION, "le", suffix="_bucket"), "{{le}}"),),
            kind="heatmap",
            unit="s",
        ),
    ),
)

_TROUBLE = Row(
    "What went wrong",
    (
        Panel(
            title="Failed prefills",
            description="By reason; a failed prefill is tried on another pod before the client notices.",
            queries=(Query(ask.rate(names.PD_PREFILL_ERRORS, "model, reason"), "{{model}}: {{reason}}"),),
            unit="ops",
        ),
        Panel(
            title="Went without disaggregation",
            description="Requests that routing.pd_fallback sent to a decode pod alone, by reason.",
            queries=(Query(ask.rate(names.PD_FALLBACK, "model, reason"), "{{model}}: {{reason}}"),),
            unit="reqps",
        ),
        Panel(
            title="Share that went without",
            description="Of the routed requests of a model; the dashed line is the alert.",
            queries=(Query(share(ask.rate(names.PD_FALLBACK, "model"), _ROUTED), "{{model}}"),),
            unit="percentunit",
            steps=((0.1, "red"),),
        ),
    ),
)

_ENGINES = Row(
    "Engines, by their own word",
    (
        Panel(
            title="Time in prefill, p95",
            description="vLLM, by pod: decode pods of a disaggregated model should have next to none.",
            queries=(Query(engines.quantile(0.95, "prefill", "namespace, pod"), "{{namespace}}/{{pod}}"),),
            unit="s",
            width=12,
        ),
        Panel(
            title="Time in decode, p95",
            description="vLLM, by pod: prefill pods generate one token.",
            queries=(Query(engines.quantile(0.95, "decode", "namespace, pod"), "{{namespace}}/{{pod}}"),),
            unit="s",
            width=12,
        ),
    ),
)

BOARD = Board(
    name="prefill-decode",
    title="Prefill/decode",
    description="Disaggregated requests: the prefill leg, its failures, and requests that went without.",
    variables=USUAL,
    rows=(_LEGS, _TROUBLE, _ENGINES),
)
