"""An explanation for people."""

from aibrix_mw.explain.text import lines
from aibrix_mw.explain.told import (
    Applied,
    Asked,
    Choice,
    Credentials,
    Explanation,
    LimitState,
    PodState,
    Refusal,
)

NOBODY = Credentials(needed=False)


def asked(**changes):
    fields = {
        "path": "/v1/chat/completions",
        "requested_model": "m",
        "model": "m",
        "stream": False,
        "user": None,
        "prompt_tokens": 12,
        "max_tokens": None,
    }
    return Asked(**fields | changes)


def pod(name, **changes):
    fields = {"name": name, "namespace": "ns", "address": "10.0.0.1:8000", "role": None, "in_flight": 0}
    return PodState(**fields | changes)


def told(**fields):
    return list(lines(Explanation(**{"credentials": NOBODY} | fields)))


def test_all_that_there_is():
    assert told(
        asked=asked(path="/v1/embeddings", requested_model="gpt", user="al", max_tokens=9),
        credentials=Credentials(needed=True, key="al"),
        profile=Applied(name="batch", source="header"),
        strategy=Applied(name="least-request", source="profile"),
        external_filter="zone=a",
        limits=[
            LimitState(name="user's tpm", limit=100, per=60.0, cost=61, used=50, left=50, resets=1.0),
            LimitState(name="profile batch", limit=1, per=5.0, used=0, left=1, resets=1.0),
        ],
        counted_by="store",
        pods=[pod("pod-1", score=0.5, in_flight=3), pod("pod-2", address=None, excluded="not_ready")],
        choice=Choice(pod="pod-1", address="10.0.0.1:8000", match=0.5, fallback="no_data"),
        notes=["one more thing"],
    ) == [
        "request   POST /v1/embeddings, model gpt, served by m, about 12 prompt tokens, at most 9 to answer, user al",
        "key       of al",
        "profile   batch (header)",
        "strategy  least-request (profile)",
        "filter    zone=a",
        "limits    user's tpm: 50 of 100 a minute used, 50 left, this request takes 61, full (by store)",
        "          profile batch: 0 of 1 in 5 s used, 1 left (by store)",
        "pods      address        in flight  score, lowest wins",
        "ns/pod-1  10.0.0.1:8000  3          0.5                 <- chosen",
        "ns/pod-2  -              0          -                   excluded: its condition Ready is not True",
        "choice    pod-1 (10.0.0.1:8000), 50% of the prompt is cached there, least-request decided: no_data",
        "note      one more thing",
    ]


def test_both_legs():
    pair = [pod("p", role="prefill of a", score=10.0), pod("d", role="decode of a", score=0.0)]
    choice = Choice(pod="d", address="b:2", prefill="p", prefill_address="a:1")
    assert told(pods=pair, choice=choice)[1:] == [
        "pods  role          address        in flight  score, lowest wins",
        "ns/p  prefill of a  10.0.0.1:8000  0          10                  <- chosen to prefill",
        "ns/d  decode of a   10.0.0.1:8000  0          0                   <- chosen",
        "choice    prefill on p (a:1), then d (b:2)",
    ]
    assert told(asked=asked(stream=True))[0].endswith("about 12 prompt tokens, streamed, no user")
    alone = Choice(pod="d", address="b:2", alone="bucket")
    assert told(choice=alone)[-1] == "choice    d (b:2), one pod alone: bucket"


def test_a_refusal_and_what_is_not_counted():
    refused = Refusal(status=503, code="service_unavailable", outcome="store_refused", message="not now")
    assert told(
        credentials=Credentials(needed=True),
        limits=[LimitState(name="all profiles", limit=7, per=1.0)],
        counted_by="nobody",
        highest_wins=True,
        pods=[pod("p", excluded="a reason of tomorrow")],
        refused=refused,
    ) == [
        "key       left out; clients need one",
        "limits    all profiles: 7 a second, not counted now",
        "pods  address        in flight  score, highest wins",
        "ns/p  10.0.0.1:8000  0          -                    excluded: a reason of tomorrow",
        "refused   503 service_unavailable: not now (store_refused)",
    ]
