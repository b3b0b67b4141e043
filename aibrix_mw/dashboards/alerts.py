"""Alerts: what is wrong, since when, how bad, and what to look at first."""

from aibrix_mw.dashboards import engines
from aibrix_mw.dashboards.burn import burn_alerts
from aibrix_mw.dashboards.promql import everywhere as ask
from aibrix_mw.dashboards.rules import Alert
from aibrix_mw.telemetry import families as names

OBJECTIVE = 0.999
"""Share of requests that no fault of gateway, engines or pods may spoil, over 30 days."""
FIRST_TOKEN_TARGET = 2.5
"""Seconds that 95 % of a model's streams may take to their first data."""

_BY_GATEWAY = "namespace, job"
_BY_MODEL = "namespace, job, model"
_BY_POD = "namespace, job, model, engine_namespace, engine_pod"


def alerts(objective: float = OBJECTIVE, first_token: float = FIRST_TOKEN_TARGET) -> tuple[Alert, ...]:
    """Every alert; `objective` is a share of requests, `first_token` in seconds."""
    return (*burn_alerts(objective), _first_token_slow(first_token), *_MODELS, *_COUNTING, *_LEGS, *_PODS, *_GATEWAYS)


def _first_token_slow(target: float) -> Alert:
    return Alert(
        name="AibrixGatewayFirstTokenSlow",
        expr=f"{ask.quantile(0.95, names.FIRST_TOKEN, _BY_MODEL)} > {target:g}",
        hold="10m",
        severity="warning",
        summary="Streams of {{ $labels.model }} start late",
        description=f"95 % start within {{{{ $value | humanizeDuration }}}}; the target is {target:g} s.",
        first_checks=(
            "Board *Pods*, *Queue* and *KV cache in use*: more replicas are needed where they grow.",
            "Board *Routing*, *Choice skew*: one pod may do the work of many. *Prefix match*: caches that went cold.",
            "Board *Gateway overview*, *The gateway's own time*: if that is it, look at its CPU.",
        ),
    )


_REQUESTS = ask.rate(names.REQUESTS, _BY_MODEL)
_LIMITED = ask.rate(names.REQUESTS, _BY_MODEL, 'code="429"')
_MODELS = (
    Alert(
        name="AibrixGatewayModelWithoutPods",
        expr=f"{_REQUESTS} > 0\n  and {ask.fact(names.READY_PODS, _BY_MODEL)} == 0",
        hold="1m",
        severity="critical",
        summary="{{ $labels.model }} is asked for and has no ready pod",
        description="{{ $value | humanize }} requests a second get 503.",
        first_checks=(
            "`kubectl get pods -l model.aibrix.ai/name=MODEL`: are there pods, and are they Ready?",
            "Board *Pods*, *Pods that take no requests*: the reason. `ejected`: they answer with errors.",
            "`/status.json` of a gateway lists each pod and why it is excluded.",
        ),
    ),
    Alert(
        name="AibrixGatewayManyLimited",
        expr=f"{_LIMITED}\n  / {_REQUESTS} > 0.2",
        hold="10m",
        severity="warning",
        summary="More than a fifth of the requests to {{ $labels.model }} get 429",
        description="{{ $value | humanizePercentage }} are over a limit.",
        first_checks=(
            "Board *Limits*, *All refusals for a limit*: the model's, a user's, or requests in flight per pod.",
            "One client, or all? `rps_limit` may be below what the pods can serve: board *Pods*, *Queue*.",
        ),
    ),
    Alert(
        name="AibrixGatewayStreamsTruncated",
        expr=f"{ask.rate(names.STREAMS_TRUNCATED, _BY_MODEL)}\n  / {_REQUESTS} > 0.01",
        hold="5m",
        severity="warning",
        summary="Answers of {{ $labels.model }} end short",
        description="{{ $value | humanizePercentage }} of its requests ended after their first byte and before "
        "their last.",
        first_checks=(
            "Pods that restart: `kubectl get pods`, out of memory, a grace period shorter than an answer takes.",
            "upstream.idle_timeout, if engines pause for longer than that between two tokens.",
        ),
    ),
)


_COUNTING = (
    Alert(
        name="AibrixGatewayLimitsNotShared",
        expr=f"count by ({_BY_GATEWAY}) ({names.STORE_SHARED} == 0) > 1\n"
        f"  and {ask.fact(names.RPS_LIMIT, _BY_GATEWAY)} > 0",
        hold="10m",
        severity="warning",
        summary="{{ $value }} replicas of {{ $labels.job }} count limits each for itself",
        description="A limit of N lets up to N times the number of replicas pass.",
        first_checks=(
            "Give all replicas one store: `store.url`.",
            "`rate_limit.per_replica: true` means it so: then leave this alert out.",
        ),
    ),
    Alert(
        name="AibrixGatewayCountsLocally",
        expr=f"{ask.fact(names.STORE_LOCAL, _BY_GATEWAY)} > 0",
        hold="2m",
        severity="warning",
        summary="{{ $labels.job }} does not reach its store",
        description="Limits are counted in each process, or as rate_limit.on_store_error says.",
        first_checks=(
            (
                "The gateway's log names the reason: connection refused, a wrong password, a command that an ACL "
                "forbids."
            ),
            "It comes back by itself once the store answers; no restart is needed.",
        ),
    ),
    Alert(
        name="AibrixGatewayStoreSlow",
        expr=f"{ask.quantile(0.99, names.STORE_DURATION, _BY_GATEWAY)} > 0.02",
        hold="5m",
        severity="warning",
        summary="The store of {{ $labels.job }} is slow",
        description="1 % of the trips take more than {{ $value | humanizeDuration }}; above store.timeout (50 ms) "
        "they are given up.",
        first_checks=(
            "Board *Limits*, *Trips to the store*: all replicas, or one whose event loop is busy?",
            "The store's own latency and slow log; is it in the same zone?",
        ),
    ),
)


_FAILED = ask.rate(names.PD_PREFILL_ERRORS, _BY_MODEL)
_LEGS = (
    Alert(
        name="AibrixGatewayPrefillFails",
        expr=f"{_FAILED}\n  / ({_FAILED} + {ask.events(names.PD_PREFILL_DURATION, _BY_MODEL)}) > 0.05",
        hold="5m",
        severity="warning",
        summary="Prefills of {{ $labels.model }} fail",
        description="{{ $value | humanizePercentage }} of the prefill legs failed.",
        first_checks=(
            "Board *Prefill/decode*, *Failed prefills*: the reason.",
            "Logs of the prefill pods; do both roles run the same version and KV connector?",
        ),
    ),
    Alert(
        name="AibrixGatewayPrefillSkipped",
        expr=f"{ask.rate(names.PD_FALLBACK, _BY_MODEL)}\n  / {ask.events(names.ROUTING_DURATION, _BY_MODEL)} > 0.1",
        hold="10m",
        severity="warning",
        summary="{{ $labels.model }} is served without disaggregation",
        description="{{ $value | humanizePercentage }} of its requests went to a decode pod alone.",
        first_checks=(
            "Are there Ready prefill pods in each roleset? `kubectl get pods -l role-name=prefill`",
            "`model.aibrix.ai/pd-compatibility` must be equal on both roles: a rollout of one role can part them.",
        ),
    ),
)


_IN_FLIGHT = f"sum by ({_BY_POD}) (avg_over_time({names.POD_IN_FLIGHT}[5m]))"
_PODS = (
    Alert(
        name="AibrixGatewayPodsFlapping",
        expr=f"{ask.fact(names.FLAPPING_PODS, _BY_MODEL)} > 0",
        hold="1m",
        severity="warning",
        summary="Readiness of pods of {{ $labels.model }} comes and goes",
        description="{{ $value }} pods changed at least three times within ten minutes. A rollout does not: its "
        "pods become Ready once.",
        first_checks=(
            (
                "`/status.json`: which pods are `flapping`. `kubectl describe pod`: which probe fails, and how long "
                "it was given."
            ),
            "An engine that is overloaded answers its probe late: board *Pods*, *Queue* and *KV cache in use*.",
        ),
    ),
    Alert(
        name="AibrixGatewayTrafficSkewed",
        expr=f"max by ({_BY_MODEL}) ({_IN_FLIGHT})\n  > 2 * (avg by ({_BY_MODEL}) ({_IN_FLIGHT}) > 1)",
        hold="15m",
        severity="warning",
        summary="One pod of {{ $labels.model }} has more than twice its share",
        description="The busiest pod has {{ $value | humanize }} requests, more than two times the mean.",
        first_checks=(
            "Board *Routing*, *Requests in flight by pod*: is it slow, or is it chosen too often?",
            (
                "Session affinity and prefix caches keep what belongs together on one pod: a weighted list such as "
                "`prefix-cache:2,least-request:1` spreads it."
            ),
        ),
    ),
    Alert(
        name="AibrixEngineKvCacheFull",
        expr=f"{engines.fullest()} > 0.9",
        hold="5m",
        severity="warning",
        summary="The KV cache of {{ $labels.pod }} is nearly full",
        description="{{ $value | humanizePercentage }} of it is in use: the engine will preempt requests and "
        "compute them again.",
        first_checks=(
            (
                "All pods of the model: more replicas, or a lower `requestsInflight`. One pod: board *Routing*, "
                "*Choice skew*."
            ),
            "Long contexts: a profile of their own with `promptTokensGte`, on pods of their own.",
        ),
    ),
    Alert(
        name="AibrixEngineQueueLong",
        expr=f"{engines.total('waiting')} > 50",
        hold="5m",
        severity="warning",
        summary="{{ $value }} requests wait in {{ $labels.pod }}",
        description="They have been sent to the engine, and it has no room for them in its batch.",
        first_checks=(
            "All pods of the model: more replicas, or a limit (`requestsPerSecond`, `requestsInflight`).",
            "One pod: board *Routing*, *Choice skew*, and the strategy in use.",
        ),
    ),
)


_GATEWAYS = (
    Alert(
        name="AibrixGatewaySpansDropped",
        expr=f"{ask.rate(names.SPANS_DROPPED, _BY_GATEWAY)} > 0",
        hold="10m",
        severity="warning",
        summary="{{ $labels.job }} loses spans",
        description="{{ $value | humanize }} spans a second could not be exported: traces have holes.",
        first_checks=(
            "Is the collector of `OTEL_EXPORTER_OTLP_ENDPOINT` there, and does it keep up?",
            "A lower `tracing.sample_ratio`, or a larger `OTEL_BSP_MAX_QUEUE_SIZE`.",
        ),
    ),
    Alert(
        name="AibrixGatewayDiscoveryStale",
        expr=f"{ask.fact(names.DISCOVERY_AGE, _BY_GATEWAY)} > 60",
        hold="1m",
        severity="warning",
        summary="{{ $labels.job }} has not heard of pods for {{ $value | humanizeDuration }}",
        description="Known pods are served; new ones are not found, and those that left are found out by failing "
        "requests.",
        first_checks=(
            ("The gateway's log names the reason: the API server is away, or the account may not list or watch pods."),
            "`kubectl auth can-i watch pods --as=system:serviceaccount:NAMESPACE:NAME -n NAMESPACE`",
        ),
    ),
)
