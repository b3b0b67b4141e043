"""Routing strategies. A new one is one file and one line in this table."""

TABLE = {
    "random": "aibrix_mw.strategies.random:Random",
    "least-request": "aibrix_mw.strategies.least_request:LeastRequest",
    "power-of-two": "aibrix_mw.strategies.power_of_two:PowerOfTwo",
    "session-affinity": "aibrix_mw.strategies.session_affinity:SessionAffinity",
}
