"""Gateway overview: is it well, and if not, where."""

from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row, percentiles
from aibrix_mw.dashboards.promql import BUDGETED, CANCELLED, ask, one_of, share
from aibrix_mw.dashboards.variables import USUAL
from aibrix_mw.telemetry import families as names

_DECIDED = f'outcome!="{CANCELLED}"'
_FAILED = one_of("outcome", *BUDGETED)


def _errors(by: str) -> str:
    return share(ask.rate(names.REQUESTS, by, _FAILED), ask.rate(names.REQUESTS, by, _DECIDED))


_LIMITED = share(ask.rate(names.REQUESTS, "", 'code="429"'), ask.rate(names.REQUESTS, ""))
_NOW = Row(
    "Now",
    (
        Panel(
            title="Requests",
            description="Requests a second, refused ones included.",
            queries=(Query(ask.rate(names.REQUESTS, ""), "requests"),),
            kind="stat",
            unit="reqps",
            width=4,
            height=5,
        ),
        Panel(
            title="Failed",
            description="Share of requests that spent the error budget: what a client cannot help. The budget of "
            "99.9 % is gone in 30 days at 0.1 %, in two days at 1.44 %.",
            queries=(Query(_errors(""), "failed"),),
            kind="stat",
            unit="percentunit",
            steps=((0.001, "yellow"), (0.0144, "red")),
            width=4,
            height=5,
        ),
        Panel(
            title="Limited",
            description="Share of requests that got 429: over a limit of the model, of the user, or of requests in "
            "flight.",
            queries=(
                Query(share(ask.rate(names.REQUESTS, "", 'code="429"'), ask.rate(names.REQUESTS, "")), "limited"),
            ),
            kind="stat",
            unit="percentunit",
            steps=((0.05, "yellow"), (0.2, "red")),
            width=4,
            height=5,
        ),
        Panel(
            title="First token, p95",
            description="From the request's head to the first data of a streamed answer, over all models.",
            queries=(Query(ask.quantile(0.95, names.FIRST_TOKEN), "p95"),),
            kind="stat",
            unit="s",
            steps=((1, "yellow"), (2.5, "red")),
            width=4,
            height=5,
        ),
        Panel(
            title="In flight",
            description="Requests that pods are working on, of all gateways.",
            queries=(Query(f"sum({ask.work(names.IN_FLIGHT, 'model')})", "in flight"),),
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            title="Models without a pod",
            description="Models that a request would get 503 for.",
            queries=(Query(f"count({ask.fact(names.READY_PODS, 'model')} == 0) or vector(0)", "without"),),
            kind="stat",
            steps=((1, "red"),),
            width=4,
            height=5,
        ),
    ),
)

_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            title="Requests by model",
            description="`_unknown` are those that named no model which is known here.",
            queries=(Query(ask.rate(names.REQUESTS, "model"), "{{model}}"),),
            unit="reqps",
            stacked=True,
            width=6,
        ),
        Panel(
            title="Requests by outcome",
            description="Every request has exactly one outcome.",
            queries=(Query(ask.rate(names.REQUESTS, "outcome"), "{{outcome}}"),),
            unit="reqps",
            stacked=True,
            width=6,
        ),
        Panel(
            title="Requests by status",
            description="Status codes as clients see them; 499: the client left first.",
            queries=(Query(ask.rate(names.REQUESTS, "code"), "{{code}}"),),
            unit="reqps",
            stacked=True,
            width=6,
        ),
        Panel(
            title="Tokens",
            description="By the engines' own count, where answers carry one; cached tokens are among the input.",
            queries=(Query(ask.rate(names.TOKENS, "kind"), "{{kind}}"),),
            unit="short",
            width=6,
        ),
    ),
)

_LATENCY = Row(
    "Latency",
    (
        Panel(
            title="First token of streams",
            description="From the request's head to the first data; the dashed line is the alert's target.",
            queries=percentiles((0.5, 0.95), names.FIRST_TOKEN, "model"),
            unit="s",
            steps=((2.5, "red"),),
            exemplars=True,
        ),
        Panel(
            title="Whole request",
            description="From the request's head to the last byte: long answers take long.",
            queries=percentiles((0.5, 0.95, 0.99), names.REQUEST_DURATION, "model"),
            unit="s",
            exemplars=True,
        ),
        Panel(
            title="First byte",
            description="From the request's head to the first byte of the answer's body, streamed or not.",
            queries=percentiles((0.5, 0.95), names.FIRST_BYTE, "model"),
            unit="s",
        ),
        Panel(
            title="Distribution of request durations",
            description="How many requests took how long.",
            queries=(Query(ask.rate(names.REQUEST_DURATION, "le", suffix="_bucket"), "{{le}}"),),
            kind="heatmap",
            unit="s",
        ),
        Panel(
            title="Time per output token",
            description="Mean gap between two tokens of a stream: how fast answers read. Needs the engine's count.",
            queries=percentiles((0.5, 0.95), names.BETWEEN_TOKENS, "model"),
            unit="s",
        ),
        Panel(
            title="The gateway's own time",
            description="What the gateway adds to a request: neither the client's body nor the engine is waited for.",
            queries=percentiles((0.5, 0.99), names.OVERHEAD),
            unit="s",
        ),
    ),
)

_FAULTS = Row(
    "What went wrong",
    (
        Panel(
            title="Failed, by model",
            description="Share of a model's requests that spent the error budget.",
            queries=(Query(_errors("model"), "{{model}}"),),
            unit="percentunit",
        ),
        Panel(
            title="Failed attempts on pods",
            description="Why attempts failed; most are made good on another pod before the client notices.",
            queries=(Query(ask.rate(names.UPSTREAM_ATTEMPTS, "reason", 'reason!="ok"'), "{{reason}}"),),
            unit="ops",
        ),
        Panel(
            title="Ended early",
            description="Answers that an engine cut short, and requests whose client left.",
            queries=(
                Query(ask.rate(names.STREAMS_TRUNCATED, "model"), "{{model}} truncated"),
                Query(ask.rate(names.CLIENT_CANCELLED, "model"), "{{model}} client left"),
            ),
            unit="reqps",
        ),
        Panel(
            title="Requests by gateway",
            description="Whether the replicas get alike much.",
            queries=(Query(ask.rate(names.REQUESTS, "instance"), "{{instance}}"),),
            unit="reqps",
        ),
        Panel(
            title="Spans lost",
            description="Spans that could not be exported, by gateway: traces have holes.",
            queries=(Query(ask.rate(names.SPANS_DROPPED, "instance"), "{{instance}}"),),
            unit="ops",
        ),
        Panel(
            title="Faulty configurations",
            description="Annotations of pods that could not be used, since the gateway started. The model keeps "
            "its last valid configuration; /status.json says what is wrong.",
            queries=(Query(ask.fact(names.INVALID_CONFIG, "model"), "{{model}}"),),
        ),
    ),
)

BOARD = Board(
    name="gateway-overview",
    title="Gateway overview",
    description="Requests, errors and latency of the gateways; start here.",
    variables=USUAL,
    rows=(_NOW, _TRAFFIC, _LATENCY, _FAULTS),
)
