"""Pods: who is ready, whose readiness comes and goes, and how the engines are doing."""

from aibrix_mw.dashboards import engines
from aibrix_mw.dashboards.engines import ENGINE, LEGEND
from aibrix_mw.dashboards.grafana import Board, Panel, Query, Row
from aibrix_mw.dashboards.promql import ask
from aibrix_mw.dashboards.variables import USUAL
from aibrix_mw.telemetry import families as names

_BY_POD = "model, engine_namespace, engine_pod"
_CHURN = ask.rate(names.READINESS_TRANSITIONS, "model, to", window="5m")
_POD = "{{engine_namespace}}/{{engine_pod}}"

_READINESS = Row(
    "Readiness",
    (
        Panel(
            title="Ready pods",
            description="Pods that a request could be sent to.",
            queries=(Query(ask.fact(names.READY_PODS, "model"), "{{model}}"),),
            width=6,
        ),
        Panel(
            title="Pods that take no requests",
            description="By reason.",
            queries=(Query(ask.fact(names.EXCLUDED_PODS, "model, reason"), "{{model}}: {{reason}}"),),
            stacked=True,
            width=6,
        ),
        Panel(
            title="Readiness churn",
            description="Ready <-> NotReady of live pods an hour. A rollout makes none: new pods come, old ones go.",
            queries=(
                Query(
                    f"{ask.rate(names.READINESS_TRANSITIONS, 'model, to', window='5m')} * 3600",
                    "{{model}} to {{to}}",
                ),
            ),
            width=6,
        ),
        Panel(
            title="Flapping pods",
            description="Pods with three such transitions or more in ten minutes.",
            queries=(Query(ask.fact(names.FLAPPING_PODS, "model"), "{{model}}"),),
            steps=((1, "red"),),
            width=6,
        ),
        Panel(
            title="Ready, pod by pod",
            description="As the gateways see it; needs metrics.per_pod.",
            queries=(Query(ask.fact(names.POD_READY, _BY_POD), _POD),),
            kind="state-timeline",
            steps=((0, "red"), (1, "green")),
            words=((0, "not ready"), (1, "ready")),
            width=12,
        ),
        Panel(
            title="In flight, pod by pod",
            description="Requests of all gateways on a pod; needs metrics.per_pod.",
            queries=(Query(ask.work(names.POD_IN_FLIGHT, _BY_POD), _POD),),
            width=12,
        ),
    ),
)

_ENGINES = Row(
    "Engines, by their own word",
    (
        Panel(
            title="KV cache in use",
            description="Full caches make an engine preempt and recompute: above 90 % latency grows fast.",
            queries=(Query(engines.fullest(ENGINE), LEGEND),),
            unit="percentunit",
            maximum=1,
            steps=((0.9, "red"),),
        ),
        Panel(
            title="Queue",
            description="Requests that wait in the engine, by pod.",
            queries=(Query(engines.total("waiting", ENGINE), LEGEND),),
            steps=((50, "red"),),
        ),
        Panel(
            title="Running",
            description="Requests in the engine's batch, by pod.",
            queries=(Query(engines.total("running", ENGINE), LEGEND),),
        ),
        Panel(
            title="Queue time, p95",
            description="vLLM: how long requests wait before they are computed.",
            queries=(Query(engines.quantile(0.95, "queue", "namespace, pod"), "{{namespace}}/{{pod}}"),),
            unit="s",
        ),
        Panel(
            title="Tokens a second",
            description="vLLM: computed and generated, by pod.",
            queries=(
                Query(engines.rate("prompt_tokens", "namespace, pod"), "{{namespace}}/{{pod}} prompt"),
                Query(engines.rate("generation_tokens", "namespace, pod"), "{{namespace}}/{{pod}} generated"),
            ),
        ),
        Panel(
            title="Prefix cache hits",
            description="vLLM: share of the looked-up prompt tokens that were in the cache, by pod.",
            queries=(
                Query(
                    f"{engines.rate('cache_hits', 'namespace, pod')}"
                    f" / ({engines.rate('cache_queries', 'namespace, pod')} > 0)",
                    "{{namespace}}/{{pod}}",
                ),
            ),
            unit="percentunit",
            maximum=1,
        ),
    ),
)

_DISCOVERY = Row(
    "Discovery",
    (
        Panel(
            title="Age of what is known",
            description="Seconds since the API server's watch was last known good, by gateway; 0 while connected. Pods "
            "that were known keep serving.",
            queries=(Query(ask.fact(names.DISCOVERY_AGE, "instance"), "{{instance}}"),),
            unit="s",
            steps=((60, "red"),),
            width=12,
        ),
        Panel(
            title="Failed exchanges with the API server",
            description="By gateway.",
            queries=(Query(ask.rate(names.DISCOVERY_ERRORS, "instance"), "{{instance}}"),),
            unit="ops",
            width=12,
        ),
    ),
)

BOARD = Board(
    name="pods",
    title="Pods",
    description="Readiness and its churn, load by pod, and what the engines say of themselves.",
    variables=USUAL,
    rows=(_READINESS, _ENGINES, _DISCOVERY),
)
