"""For those who know AIBrix's own gateway."""

from aibrix_mw.reference.markdown import Section, table

_ROWS = (
    ("counters of profiles", "one for all profiles of a model", "one each; a cap on all of them is a value of its own"),
    ("no Redis", "nothing is limited", "each process limits; `aibrix_gateway_store_shared` says so"),
    ("Redis fails", "500", "counted in process with this replica's share, or as `rate_limit.on_store_error` says"),
    ("a request that is not routed", "its hit may land in a later window", "given back to its own window, or nowhere"),
    ("a refused request", "counts", "counts nothing"),
    ("unknown model", "400", "404 `model_not_found`, as OpenAI's API and vLLM answer; no `param: null`"),
    ("invalid annotation", "silent", "log line, metric, `/status`, `aibrix-mw validate`; the last valid one stays"),
    ("pods that disagree", "a random one decides", "the newest Ready one with a valid annotation, on every replica"),
    ("the profile that applied", "not told", "in `x-aibrix-config-profile`, on refusals too"),
    ("429", "no hint when to come back", "`retry-after`, and OpenAI's `x-ratelimit-*` headers"),
    ("request id", "on some answers", "`x-request-id` on every answer"),
    ("requests by outcome", "no such metric", "`aibrix_gateway_requests_total{model, profile, code, outcome}`"),
    ("choice and its count", "two steps", "one step, so that a burst spreads"),
    ("a single candidate", "goes around the strategy", "goes through it, so that caches and sessions are remembered"),
    ("default strategy", "another one", "`least-request`"),
)


def section() -> Section:
    """What differs, on purpose."""
    return Section(
        "Coming from AIBrix's gateway",
        "Labels, the annotation, profile and strategy names, headers and users' records are those of AIBrix, so that "
        "pods and clients need no change. These things differ on purpose:\n\n"
        + table(("what", "there", "here"), _ROWS),
    )
