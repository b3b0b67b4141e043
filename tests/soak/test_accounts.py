"""Every check of the accounts finds what it is for."""

import json

import pytest

from tests.soak.accounts import ON_PURPOSE, Exposition, compare, read_log
from tests.soak.seen import ANY, DOOR, Seen

SEEN = [
    Seen("a", "whole", 1.0, 200, frozenset({"ok"})),
    Seen("b", "limited", 2.0, 429, frozenset({"limited"})),
    Seen("c", "leaves", 3.0, 0, ANY, left=True),
    Seen(None, "malformed", 4.0, 400, DOOR),
    Seen(None, "leaves in head", 5.0, 0, DOOR, left=True),
]
LOG = {"a": [("200", "ok")], "b": [("429", "limited")], "c": [("200", "client_cancelled")]}
COUNTED = {("200", "ok"): 1, ("429", "limited"): 1, ("200", "client_cancelled"): 1, ("400", "bad_request"): 1}


def log(requests=LOG, *more):
    """What a gateway logs of these requests."""
    lines = [
        json.dumps({"level": "info", "request_id": name, "status": int(status), "outcome": outcome})
        for name, ends in requests.items()
        for status, outcome in ends
    ]
    return "\n".join([*lines, *more])


def bad(seen=SEEN, text=None, counted=COUNTED):
    """Names of the checks that do not hold."""
    return {check.name for check in compare(seen, read_log(log() if text is None else text), counted) if not check.good}


def test_accounts_that_agree():
    assert bad() == set()


@pytest.mark.parametrize("more", [0, 1])
def test_who_leaves_at_the_door_may_be_counted(more):
    assert bad(counted=COUNTED | {("408", "bad_request"): more}) == set()


ONCE, EACH = "exactly one outcome a request", "log and clients agree on each request"
LOGGED, WITHIN = "counters and log agree", "counters are within what clients can tell"
WHOLE, QUIET = "every answer is whole or says that it is not", "no error is logged"


def test_a_request_without_an_outcome():
    assert bad(text=log({name: ends for name, ends in LOG.items() if name != "c"})) == {ONCE, LOGGED}


def test_a_request_with_two_outcomes():
    assert bad(text=log(LOG | {"a": [("200", "ok")] * 2})) == {ONCE, LOGGED}


def test_a_line_of_nobody():
    assert bad(text=log(LOG | {"d": [("200", "ok")]})) == {ONCE, LOGGED}


def test_an_outcome_that_the_client_did_not_see():
    swapped = {"a": LOG["b"], "b": LOG["a"], "c": LOG["c"]}
    assert bad(text=log(swapped)) == {EACH}


def test_a_status_that_the_client_did_not_see():
    counted = COUNTED | {("200", "ok"): 0, ("201", "ok"): 1}
    assert bad(text=log(LOG | {"a": [("201", "ok")]}), counted=counted) == {EACH}


def test_a_counter_that_is_off():
    assert bad(counted=COUNTED | {("200", "ok"): 2}) == {LOGGED}  # one client cannot tell that it was not ok
    assert bad(counted=COUNTED | {("200", "ok"): 3}) == {LOGGED, WITHIN}
    assert bad(counted=COUNTED | {("400", "bad_request"): 0}) == {LOGGED, WITHIN}


def test_what_no_request_may_come_to():
    wrong = Seen("a", "whole", 1.0, 0, frozenset(), wrong="no answer")
    assert bad([wrong, *SEEN[1:]]) >= {WHOLE, EACH}


@pytest.mark.parametrize("line", ['{"level": "error", "message": "the application has failed"}', "Traceback (most"])
def test_a_complaint(line):
    assert bad(text=log(LOG, line)) == {QUIET}


@pytest.mark.parametrize("known", ON_PURPOSE)
def test_a_complaint_that_is_meant_to_be(known):
    assert bad(text=log(LOG, json.dumps({"level": "error", "message": f"in short: {known}"}))) == set()


def test_samples():
    exposition = Exposition(
        "# TYPE aibrix_gateway_requests counter\n"
        'aibrix_gateway_requests_total{model="m",code="200",outcome="ok"} 2.0\n'
        'aibrix_gateway_requests_total{model="n",code="200",outcome="ok"} 3.0\n'
        "# TYPE aibrix_gateway_in_flight_requests gauge\n"
        'aibrix_gateway_in_flight_requests{model="m"} 1.0\n'
    )
    assert exposition.requests() == {("200", "ok"): 5}
    assert exposition.values("in_flight_requests") == {"m": 1.0}
