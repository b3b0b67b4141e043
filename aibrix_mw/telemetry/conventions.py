"""Names of attributes, events and spans: OpenTelemetry's conventions for HTTP 1.44 (stable) and GenAI 1.41, and ours.

Written down here, because the package of constants that goes with an SDK follows no version of the conventions.
"""

# HTTP
HTTP_METHOD = "http.request.method"
HTTP_RESENDS = "http.request.resend_count"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_PATH = "url.path"
URL_SCHEME = "url.scheme"
CLIENT_ADDRESS = "client.address"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
PROTOCOL_VERSION = "network.protocol.version"
USER_AGENT = "user_agent.original"
ERROR_TYPE = "error.type"

# GenAI
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

# ours
REQUEST_ID = "aibrix_mw.request_id"
MODEL = "aibrix_mw.model"
PROFILE = "aibrix_mw.profile"
STRATEGY = "aibrix_mw.strategy"
OUTCOME = "aibrix_mw.outcome"
ATTEMPTS = "aibrix_mw.attempts"
POD = "aibrix_mw.pod"
PREFILL_POD = "aibrix_mw.prefill_pod"
ROLE = "aibrix_mw.role"
LIMIT = "aibrix_mw.limit"
WINDOW = "aibrix_mw.limit.window"
DECISION = "aibrix_mw.limit.decision"
BACKEND = "aibrix_mw.limit.backend"
KNOWN = "aibrix_mw.candidates.known"
READY = "aibrix_mw.candidates.ready"
ROUTABLE = "aibrix_mw.candidates.routable"
EXCLUDED = "aibrix_mw.excluded"
SCORES = "aibrix_mw.scores"
FALLBACK = "aibrix_mw.fallback"

# spans and events
LIMIT_SPAN = "aibrix_mw.limit"
ROUTE_SPAN = "aibrix_mw.route"
HEADERS_EVENT = "upstream.headers"
FIRST_TOKEN_EVENT = "first_token"  # noqa: S105 - of an answer
END_EVENT = "stream_end"
CANCELLED_EVENT = "cancelled"

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/images/generations": "generate_content",
    "/v1/images/edits": "generate_content",
    "/v1/audio/speech": "generate_content",
    "/v1/audio/transcriptions": "generate_content",
    "/v1/audio/translations": "generate_content",
}


def operation(path: str) -> str:
    """`gen_ai.operation.name` of an inference path; where the conventions have none, the path's last part."""
    return _OPERATIONS.get(path) or path.rpartition("/")[2]
