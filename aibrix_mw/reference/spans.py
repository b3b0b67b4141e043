"""What a trace holds."""

from aibrix_mw.reference.markdown import Section, code, table
from aibrix_mw.telemetry import conventions

ATTRIBUTES = {
    "HTTP_METHOD": "SERVER: the method.",
    "HTTP_RESENDS": "CLIENT: how many attempts there were before; from the second on.",
    "HTTP_ROUTE": "SERVER: the path, where it is one of the gateway's.",
    "HTTP_STATUS": "SERVER and CLIENT: the status of the answer.",
    "URL_PATH": "SERVER: the path, without the query.",
    "URL_SCHEME": "SERVER: `http` or `https`.",
    "CLIENT_ADDRESS": "SERVER: the client's address.",
    "SERVER_ADDRESS": "SERVER and CLIENT: the address that was asked.",
    "SERVER_PORT": "SERVER and CLIENT: its port.",
    "PROTOCOL_VERSION": "SERVER: the version of HTTP.",
    "USER_AGENT": "SERVER: what the client calls itself.",
    "ERROR_TYPE": "A span that failed: the outcome, the reason or the status.",
    "OPERATION": "CLIENT: `chat`, `text_completion`, `embeddings`, ...",
    "PROVIDER": "CLIENT: the engine.",
    "REQUEST_MODEL": "CLIENT: the model that the engine is asked for.",
    "RESPONSE_MODEL": "CLIENT: the model that it says it is.",
    "INPUT_TOKENS": "CLIENT: prompt tokens by the engine's count.",
    "OUTPUT_TOKENS": "CLIENT: generated tokens by the engine's count.",
    "FINISH_REASONS": "CLIENT: why the answer ended.",
    "INPUT_MESSAGES": "CLIENT: the prompt, only with `tracing.capture_text`.",
    "OUTPUT_MESSAGES": "CLIENT: the answer, only with `tracing.capture_text`.",
    "REQUEST_ID": "SERVER: the id that the engine gets.",
    "MODEL": "SERVER: the model that serves the request.",
    "PROFILE": "SERVER: the config profile that applied.",
    "STRATEGY": "SERVER and route: the strategy that chose.",
    "OUTCOME": "SERVER: how the request ended.",
    "ATTEMPTS": "SERVER: how many pods were tried.",
    "POD": "SERVER, route and CLIENT: the pod.",
    "PREFILL_POD": "Route: the prefill pod of a pair.",
    "ROLE": "CLIENT: `prefill` for that leg of a disaggregated request.",
    "LIMIT": "Limit: the limit with the least room.",
    "WINDOW": "Limit: seconds of its window.",
    "DECISION": "Limit: `taken`, `limited` or `refused`.",
    "BACKEND": "Limit: who counted: `store`, `process` or `none`.",
    "KNOWN": "Route: pods of the model.",
    "READY": "Route: those that can take requests.",
    "ROUTABLE": "Route: those that the strategy chose from.",
    "EXCLUDED": "Route: why the others were none, `reason=n`.",
    "SCORES": "Route: the best five pods and what the strategy compared.",
    "FALLBACK": "Route: why another strategy decided.",
}
EVENTS = {
    "HEADERS_EVENT": "CLIENT: the head of the answer is there.",
    "FIRST_TOKEN_EVENT": "CLIENT: the first data of a streamed answer.",
    "END_EVENT": "CLIENT: the answer is complete.",
    "CANCELLED_EVENT": "CLIENT: the client has left.",
}
_TREE = """
```text
SERVER  POST /v1/chat/completions
 ├─ INTERNAL aibrix_mw.limit      where a store outside the process is asked
 ├─ INTERNAL aibrix_mw.route      the choice of a pod; one for each attempt
 ├─ CLIENT   chat MODEL           the prefill leg, with pd
 └─ CLIENT   chat MODEL           one for each attempt; vLLM's own spans go below it
```
"""
_INTRODUCTION = """
By OTLP/HTTP (extra `otel`), on where the standard variables name an exporter: `OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. `tracing.sample_ratio` of the requests are recorded. Names follow OpenTelemetry's
conventions for HTTP 1.44 and GenAI 1.41. No prompt, answer or key is in any span unless `tracing.capture_text` says so.
"""


def section() -> Section:
    """The tree, attributes and events."""
    attributes = [(code(getattr(conventions, name)), meaning) for name, meaning in ATTRIBUTES.items()]
    events = [(code(getattr(conventions, name)), meaning) for name, meaning in EVENTS.items()]
    body = f"{_INTRODUCTION.strip()}\n{_TREE}\n{table(('attribute', 'where, and what'), attributes)}"
    return Section("Traces", f"{body}\n{table(('event', 'where, and when'), events)}")
