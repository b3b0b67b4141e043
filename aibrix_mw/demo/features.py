"""What the tour shows: one row a feature.

A function returns in a few words what it has seen. To show a new feature takes a function, in the module of its kind,
and a row.
"""

from aibrix_mw.demo.answers import (
    chat_answer,
    embedding,
    engine_sees,
    model_list,
    refused,
    request_id,
    streamed_answer,
    target_headers,
)
from aibrix_mw.demo.changes import broken_file, pod_leaves, settings_change, slow_start
from aibrix_mw.demo.choices import AT_ONCE as SPREAD
from aibrix_mw.demo.choices import FIRST, SECOND, filtered, prefix_stays, routed, session_stays, spread, users_apart
from aibrix_mw.demo.failures import FAILURES, cancelled, cut_stream, ejected, failover
from aibrix_mw.demo.legs import DECODE, PREFILL, disaggregated, serves_alone
from aibrix_mw.demo.limits import AT_ONCE, counted_in, full_pods, limited, user_limited, what_is_left
from aibrix_mw.demo.operators import metrics, probes, status
from aibrix_mw.demo.stage import ADAPTER, ALIAS, LIMIT, LONG_PROMPT_TOKENS, MODEL, USER_LIMIT, has_store
from aibrix_mw.demo.tour import Feature

_LIST = "least-request:3,session-affinity:1"
_EXCLUDED_PATH = "/v1/load_lora_adapter"

FEATURES = (
    Feature("chat answer", "200, 8 tokens", chat_answer),
    Feature("streamed answer", "8 tokens, usage 8, [DONE]", streamed_answer),
    Feature("embeddings", "200, 2 vectors", embedding),
    Feature("model list", f"{ALIAS} {ADAPTER} {MODEL}", model_list),
    Feature("alias is rewritten", MODEL, engine_sees(ALIAS)),
    Feature("adapter is not", ADAPTER, engine_sees(ADAPTER)),
    Feature("unknown model", "404 model_not_found", refused(b'{"model": "nobody"}')),
    Feature("body is not JSON", "400 invalid_request", refused(b"{model}")),
    Feature("path of engines' operators", "404 not_found", refused(path=_EXCLUDED_PATH)),
    Feature("default profile", "default, least-request", routed()),
    Feature("config-profile: batch", "batch, random", routed(config_profile="batch")),
    Feature("config-profile: unknown", "default, least-request", routed(config_profile="unknown")),
    Feature("config-profile: auto", "batch, random", routed(LONG_PROMPT_TOKENS, config_profile="auto")),
    Feature("routing-strategy header", "default, power-of-two", routed(routing_strategy="power-of-two")),
    Feature("weighted list", f"default, {_LIST}", routed(routing_strategy=_LIST)),
    Feature("unknown strategy", "400 invalid_routing_strategy", refused(routing_strategy="best")),
    Feature("external-filter", SECOND, filtered),
    Feature("external-filter, no pod", "503 service_unavailable", refused(external_filter="zone=c")),
    Feature("session stays on its pod", SECOND, session_stays),
    Feature(f"least-request, {SPREAD} at once", f"{SPREAD // 2} + {SPREAD // 2}", spread),
    Feature(f"limit of a second, {AT_ONCE} at once", f"{LIMIT} pass, {AT_ONCE - LIMIT} are refused", limited),
    Feature("answer says what is left", f"{LIMIT - 1} of {LIMIT}", what_is_left),
    Feature("limits are counted in", "the store" if has_store() else "the gateway", counted_in),
    Feature("limit of a user", f"{USER_LIMIT} pass, then 429; 200", user_limited),
    Feature("every pod has all it may have", "429 replica_inflight_exceeded", full_pods),
    Feature("prefix-cache, one long prompt", "1 pod, cached", prefix_stays),
    Feature("vtc-basic keeps users apart", f"light {FIRST}, heavy {SECOND}", users_apart),
    Feature("client leaves a stream", "0 running", cancelled),
    Feature("engine hangs up", f"200 from {SECOND}", failover("refuse")),
    Feature("engine answers 503", f"200 from {SECOND}", failover("error")),
    Feature(f"pod fails {FAILURES} times in a row", f"{SECOND}, later {FIRST}", ejected),
    Feature("engine dies while it streams", "upstream_error, no [DONE], truncated", cut_stream),
    Feature("prefill and decode apart", f"{PREFILL} > {DECODE}, 1 transfer", disaggregated),
    Feature("prefill fails", f"200 from {DECODE}, fallback", serves_alone),
    Feature("answer names its pod", "the engine that answered", target_headers),
    Feature("x-request-id", "tour-1, engine tour-1", request_id),
    Feature("pod is no longer ready", f"1 ready, {SECOND}; 2 ready", pod_leaves),
    Feature("pod file is broken", "1 fault, 2 ready; 0 faults", broken_file),
    Feature("pod has just turned Ready", "less than a third", slow_start),
    Feature("alias added to settings", "404, 200, 404", settings_change),
    Feature("metrics count requests", "+4", metrics),
    Feature("status", "ready, 2 pods, 0 in flight", status),
    Feature("probes", "200 200 200 200", probes),
)
