"""Routing: who gets the requests, why, and how long the decision takes."""

from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row, percentiles
from aibrix_mw.dashboards.promql import ask, share
from aibrix_mw.dashboards.variables import USUAL
from aibrix_mw.telemetry import families as names

_ON_PODS = (
    f"sum by (model, engine_pod, engine_namespace) (avg_over_time({ask.select(names.POD_IN_FLIGHT)}[$__rate_interval]))"
)
_ATTEMPTS = ask.rate(names.UPSTREAM_ATTEMPTS, "model")
_FAILED = ask.rate(names.UPSTREAM_ATTEMPTS, "model", 'reason!="ok"')
SKEW = f"max by (model) ({_ON_PODS}) / (avg by (model) ({_ON_PODS}) > 0)"

_CHOICES = Row(
    "Choices",
    (
        Panel(
            title="Requests in flight by pod",
            description="Of all gateways together.",
            queries=(Query(_ON_PODS, "{{engine_namespace}}/{{engine_pod}}"),),
            width=12,
        ),
        Panel(
            title="Choice skew",
            description="The busiest pod against the mean of its model: 1 is even. Affinity to caches and sessions "
            "costs some; above 2 one pod works for two.",
            queries=(Query(SKEW, "{{model}}"),),
            steps=((2, "red"),),
            width=6,
            minimum=1,
        ),
        Panel(
            title="Choices by strategy",
            description="`list` stands for every weighted list, `custom` for classes that settings name.",
            queries=(Query(ask.events(names.PICK_DURATION, "strategy"), "{{strategy}}"),),
            unit="ops",
            stacked=True,
            width=6,
        ),
    ),
)

_TIME = Row(
    "Decision time",
    (
        Panel(
            title="Head received to pod chosen",
            description="The body, the limits and a store that counts them included.",
            queries=percentiles((0.5, 0.99), names.ROUTING_DURATION, "strategy"),
            unit="s",
        ),
        Panel(
            title="The strategy alone",
            description="Grows with the number of pods and, for prefix caches, with the prompt.",
            queries=percentiles((0.5, 0.99), names.PICK_DURATION, "strategy"),
            unit="s",
        ),
        Panel(
            title="Distribution of decision times",
            description="Head received to pod chosen, all strategies.",
            queries=(Query(ask.rate(names.ROUTING_DURATION, "le", suffix="_bucket"), "{{le}}"),),
            kind="heatmap",
            unit="s",
        ),
    ),
)

_AROUND = Row(
    "What stood in the way",
    (
        Panel(
            title="Fallback to another strategy",
            description="A strategy that lacks what it decides by lets least-request decide; the reason says what it "
            "lacks.",
            queries=(Query(ask.rate(names.STRATEGY_FALLBACK, "strategy, reason"), "{{strategy}}: {{reason}}"),),
            unit="ops",
        ),
        Panel(
            title="Excluded pods",
            description="Pods that take no requests, by reason. `ejected`: they failed again and again.",
            queries=(Query(ask.fact(names.EXCLUDED_PODS, "model, reason"), "{{model}}: {{reason}}"),),
            stacked=True,
        ),
        Panel(
            title="Attempts that failed",
            description="Share of a model's attempts on pods.",
            queries=(Query(share(_FAILED, _ATTEMPTS), "{{model}}"),),
            unit="percentunit",
        ),
    ),
)

_PREFIX = Row(
    "Prefix caches",
    (
        Panel(
            title="Prefix match",
            description="Mean share of a prompt that the chosen pod is thought to have in its cache; only where a "
            "strategy looks.",
            queries=(Query(ask.mean(names.PREFIX_MATCH, "model"), "{{model}}"),),
            unit="percentunit",
            maximum=1,
            width=12,
        ),
        Panel(
            title="Distribution of matches",
            description="Two bands, at nothing and at nearly all, are what shared system prompts look like.",
            queries=(Query(ask.rate(names.PREFIX_MATCH, "le", suffix="_bucket"), "{{le}}"),),
            kind="heatmap",
            unit="percentunit",
            width=12,
        ),
    ),
)

BOARD = Board(
    name="routing",
    title="Routing",
    description="Which pods are chosen, by what, how fast, and what stood in the way.",
    variables=USUAL,
    rows=(_CHOICES, _TIME, _AROUND, _PREFIX),
)
