"""Routing strategies. A new one is one file and one line in this table."""

TABLE = {
    "random": "aibrix_mw.strategies.random:Random",
    "least-request": "aibrix_mw.strategies.least_request:LeastRequest",
    "power-of-two": "aibrix_mw.strategies.power_of_two:PowerOfTwo",
    "least-latency": "aibrix_mw.strategies.least_latency:LeastLatency",
    "prefix-cache": "aibrix_mw.strategies.prefix_cache:PrefixCache",
    "vtc-basic": "aibrix_mw.strategies.vtc_basic:VtcBasic",
    "session-affinity": "aibrix_mw.strategies.session_affinity:SessionAffinity",
}
