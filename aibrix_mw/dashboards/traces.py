"""Traces: what metrics cannot say, request by request, by Tempo's TraceQL; and the same searches as links to Jaeger.

Names of spans and attributes come from the conventions that the gateway writes by. vLLM's own span is `llm_request`
(vllm/tracing: SpanAttributes); it continues the trace when the engine exports too.
"""

from urllib.parse import quote

from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row
from aibrix_mw.dashboards.variables import JAEGER, SERVICE, TEMPO
from aibrix_mw.telemetry import conventions as name

_OURS = 'resource.service.name = "$service"'
_ENGINE_SPAN = 'name = "llm_request"'
_QUEUE = "gen_ai.latency.time_in_queue"
_PREFILL = "gen_ai.latency.time_in_model_prefill"
_DECODE = "gen_ai.latency.time_in_model_decode"
_FIRST_TOKEN = "gen_ai.latency.time_to_first_token"  # noqa: S105 - of an answer


def _traces(title: str, description: str, query: str, *shown: str, width: int = 12) -> Panel:
    """A table of traces; `shown` are attributes of the spans that match."""
    columns = f" | select({', '.join(f'span.{attribute}' for attribute in shown)})" if shown else ""
    return Panel(
        title=title,
        description=description,
        queries=(Query(f"{{ {query} }}{columns}"),),
        kind="table",
        width=width,
        traceql=True,
        minimum=None,
    )


def _over_time(title: str, description: str, query: str, measure: str, by: str) -> Panel:
    """A quantile over time, of spans in Tempo's metrics."""
    return Panel(
        title=title,
        description=description,
        queries=(Query(f"{{ {query} }} | quantile_over_time({measure}, 0.5, 0.95) by ({by})"),),
        unit="s",
        traceql=True,
    )


_SERVER = f"{_OURS} && kind = server"
_CALL = f"{_OURS} && kind = client"

_PHASES = Row(
    "Slowest, by phase",
    (
        _traces(
            "Whole requests",
            "The server span: from the request's head to the last byte.",
            f"{_SERVER} && duration > 5s",
            *(name.MODEL, name.POD, name.STRATEGY, name.OUTCOME),
        ),
        _traces(
            "Choosing the pod",
            "More than 10 ms is a long time for this: many pods, long prompts, or a busy event loop.",
            f'{_OURS} && name = "{name.ROUTE_SPAN}" && duration > 10ms',
            *(name.STRATEGY, name.ROUTABLE, name.POD),
        ),
        _traces(
            "Asking the store for a limit",
            "A trip is given up after store.timeout.",
            f'{_OURS} && name = "{name.LIMIT_SPAN}" && duration > 5ms',
            *(name.DECISION, name.BACKEND),
        ),
        _traces(
            "Prefill legs",
            "Disaggregated requests: the call that fills the KV cache.",
            f'{_CALL} && span.{name.ROLE} = "prefill" && duration > 1s',
            *(name.REQUEST_MODEL, name.POD),
        ),
    ),
)

_ODD = Row(
    "Retried, cancelled, failed",
    (
        _traces(
            "Tried again",
            "Calls from the second attempt on: the trace shows what failed before.",
            f"{_CALL} && span.{name.HTTP_RESENDS} > 0",
            *(name.HTTP_RESENDS, name.POD),
            width=8,
        ),
        _traces(
            "The client left",
            "The call to the engine ends with the event `cancelled`.",
            f'{_SERVER} && span.{name.OUTCOME} = "client_cancelled"',
            *(name.MODEL, name.POD),
            width=8,
        ),
        _traces(
            "Failed",
            "The server span has an error: an answer of 5xx, or one that was cut short.",
            f"{_SERVER} && status = error",
            *(name.MODEL, name.OUTCOME, name.ERROR_TYPE),
            width=8,
        ),
    ),
)

_BY_POD = Row(
    "First token and engines' time, by pod",
    (
        _traces(
            "Slow first token",
            "Streams whose first data came more than a second after the call to the pod began.",
            f'{_CALL} && event:name = "{name.FIRST_TOKEN_EVENT}" && event:timeSinceStart > 1s',
            *(name.POD, name.REQUEST_MODEL),
            width=24,
        ),
        _over_time(
            "First token in the engine",
            "vLLM's own measure, by the pod that it runs in; needs engines that export traces.",
            _ENGINE_SPAN,
            f"span.{_FIRST_TOKEN}",
            "resource.service.instance.id",
        ),
        _over_time(
            "Calls, by pod",
            "From sent to the last byte, as the gateway sees it.",
            _CALL,
            "duration",
            f"span.{name.POD}",
        ),
        _over_time(
            "Queue in the engine",
            "Before a request is computed: too few replicas, or too uneven a load.",
            _ENGINE_SPAN,
            f"span.{_QUEUE}",
            "resource.service.instance.id",
        ),
        _over_time(
            "Prefill in the engine",
            "Computing the prompt: grows with what is not in the prefix cache.",
            _ENGINE_SPAN,
            f"span.{_PREFILL}",
            "resource.service.instance.id",
        ),
        _over_time(
            "Decode in the engine",
            "Generating the answer: grows with its length and with the batch.",
            _ENGINE_SPAN,
            f"span.{_DECODE}",
            "resource.service.instance.id",
        ),
    ),
)

_SEARCHES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("Slowest requests", "minDuration=5s", {}),
    ("Tried again", "", {name.HTTP_RESENDS: "1"}),
    ("The client left", "", {name.OUTCOME: "client_cancelled"}),
    ("Failed", "", {"error": "true"}),
    ("Prefill legs", "", {name.ROLE: "prefill"}),
)


def _jaeger() -> str:
    """Saved searches of Jaeger's page, as links."""
    lines = ["The same searches in Jaeger, whose address stands at the head of this board:", ""]
    for title, field, tags in _SEARCHES:
        wanted = ",".join(f'"{tag}":"{value}"' for tag, value in tags.items())
        fields = [
            "limit=20",
            "lookback=1h",
            "service=${service}",
            field,
            f"tags={quote(f'{{{wanted}}}')}" if tags else "",
        ]
        lines.append(f"- [{title}](${{jaeger}}/search?{'&'.join(filter(None, fields))})")
    return "\n".join(lines)


_LINKS = Row("Jaeger", (Panel(title="", description=_jaeger(), kind="text", width=24, height=6),))

BOARD = Board(
    name="traces",
    title="Traces",
    description="Single requests: the slowest by phase, retried, cancelled, failed, and the engines' share of it.",
    variables=(TEMPO, SERVICE, JAEGER),
    rows=(_PHASES, _ODD, _BY_POD, _LINKS),
)
