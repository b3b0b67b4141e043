"""Headers that are read, forwarded and set, and the paths that reach engines."""

from collections.abc import Iterator

from aibrix_mw.paths import INFERENCE_PATHS
from aibrix_mw.reference.markdown import Section, code, table

READ = {
    "config-profile": "Config profile by name, or `auto`; as far as `routing.client_headers` allows.",
    "routing-strategy": "Strategy or weighted list of the table; as far as `routing.client_headers` allows.",
    "external-filter": "Kubernetes label selector over the ready pods; as far as `routing.client_headers` allows.",
    "authorization": "`Bearer KEY`, where `auth.keys_file` asks for one; it goes no further then.",
    "x-api-key": "The same, as Anthropic's clients send it.",
    "user": "The user of limits and of `vtc-basic`, without keys and with `users.trust_header`.",
    "x-session-id": "The pod of a conversation, as an earlier answer named it; for `session-affinity`.",
    "x-aibrix-session-key": "A key of the client's own that always leads to one pod; for `session-affinity`.",
    "x-request-id": "Kept where it is 1 to 128 of `A-Z a-z 0-9 . _ -`, else replaced.",
    "traceparent": "The client's trace: linked to, or continued with `tracing.trust_parent`.",
    "tracestate": "Goes with `traceparent`.",
    "x-forwarded-for": "Believed and appended to where the peer is in `listen.trusted_proxies`, else replaced.",
    "x-forwarded-proto": "Believed of such a peer, else replaced.",
    "x-forwarded-host": "Believed of such a peer, else replaced.",
}
TO_ENGINE = {
    "x-request-id": "The request's id; with a random suffix while another request in flight here has the same.",
    "traceparent": "The attempt's span, where the request is traced.",
    "authorization": "The content of `auth.engine_key_file`, where there is one.",
    "x-forwarded-for": "The client's address.",
    "x-forwarded-proto": "`http` or `https`, as the client came.",
    "x-forwarded-host": "The host that the client asked for.",
}
TO_CLIENT = {
    "x-request-id": "The request's id, on every answer.",
    "x-aibrix-config-profile": "The profile that applied, as soon as it is known.",
    "x-ratelimit-limit-requests": "The limit with the least room, where there is one.",
    "x-ratelimit-remaining-requests": "How many more requests pass in its window.",
    "x-ratelimit-reset-requests": "Until its window ends, as OpenAI's API writes it: `120ms`, `2s`.",
    "routing-strategy": "The strategy that chose, unless `routing.expose_target` is false.",
    "target-pod": "The pod's name, unless `routing.expose_target` is false.",
    "target-pod-ip": "Its address, IPv6 in brackets; unless `routing.expose_target` is false.",
    "prefill-target-pod": "Of a disaggregated request: the prefill pod's name.",
    "prefill-target-pod-ip": "Of a disaggregated request: the prefill pod's address.",
    "x-aibrix-pd": "`fallback`: one pod served a request that was meant for two.",
    "x-session-id": "The pod of the conversation, opaque; with `session-affinity`.",
}


def sections() -> Iterator[Section]:
    """Paths, and headers by direction."""
    paths = " · ".join(code(path) for path in sorted(INFERENCE_PATHS))
    yield Section(
        "Paths",
        f"POST, with the model in the body (JSON, or a multipart form): {paths}, and `routing.extra_paths`.\n\n"
        "The gateway itself answers `GET /v1/models`, `GET /v1/models/NAME`, `/healthz` and `/readyz`. Everything "
        "else is 404: engines have administrative paths beside these.\n\n"
        "On the admin port: `/metrics`, `/status` (a page), `/status.json`, `POST /explain`, `/healthz`, `/readyz`.",
    )
    yield Section(
        "Headers",
        "Names are case-insensitive. Values that reflect what a client wrote are visible ASCII, percent-encoded where "
        "they must be, at most 256 bytes.\n\n"
        f"### Read from clients\n\n{_table(READ)}\n"
        "### Sent to engines\n\nWhat the client sent, but for hop-by-hop headers, those above that end here, and "
        f"whatever an answer of the gateway carries, so that no client can forge it. And:\n\n{_table(TO_ENGINE)}\n"
        f"### Sent to clients\n\nThe engine's, without hop-by-hop headers, and:\n\n{_table(TO_CLIENT)}\n"
        "Refusals have further ones: see there.",
    )


def _table(headers: dict[str, str]) -> str:
    return table(("header", "meaning"), [(code(name), meaning) for name, meaning in headers.items()])
