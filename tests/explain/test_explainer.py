"""Every decision for a request, told through the admin port."""

import json
import threading

import pytest

from aibrix_mw.keys import hash_of
from aibrix_mw.pods.pod import Target
from aibrix_mw.strategies import TABLE
from aibrix_mw.strategies.base import Strategy, least_in_flight
from tests.explain.asking import excluded, explain, scores
from tests.legs import PAIR, disaggregated, leg
from tests.support import Running, info

LONG = [{"role": "user", "content": "tell me of the sea " * 40}]
LONG_BODY = json.dumps({"model": "m", "messages": LONG, "max_tokens": 9})
PROFILES = {
    "requestsPerSecond": 50,
    "profiles": {
        "default": {"requestsPerSecond": 20},
        "batch": {"routingStrategy": "random", "routingConfig": {"promptTokensGte": 100}},
    },
}


# --- who asks for what


async def test_what_is_asked_for():
    async with Running(models={"m": {"aliases": ["gpt"]}}) as running:
        told = await explain(running, "gpt", body=LONG_BODY, headers={"user": "al"}, path="/v1/completions")
    assert told["asked"] == {
        "path": "/v1/completions",
        "requested_model": "gpt",
        "model": "m",
        "stream": False,
        "user": "al",
        "prompt_tokens": 199,
        "max_tokens": 9,
    }
    assert told["credentials"] == {"needed": False, "key": None}


@pytest.mark.parametrize(
    ("headers", "config", "profile", "strategy"),
    [
        ({}, PROFILES, ("default", "default"), ("least-request", "default")),
        ({"config-profile": "batch"}, PROFILES, ("batch", "header"), ("random", "profile")),
        ({"config-profile": "auto"}, PROFILES, ("batch", "auto"), ("random", "profile")),
        ({"config-profile": "none"}, PROFILES, ("default", "default"), ("least-request", "default")),
        ({"routing-strategy": "random"}, PROFILES, ("default", "default"), ("random", "header")),
        (
            {"routing-strategy": "random", "config-profile": "batch"},
            PROFILES | {"authoritativeRoutingPolicy": True},
            ("default", "default"),
            ("least-request", "default"),
        ),
        (
            {"routing-strategy": "random"},
            PROFILES | {"lockedRoutingStrategy": "power-of-two"},
            ("default", "default"),
            ("power-of-two", "locked"),
        ),
    ],
)
async def test_profile_and_strategy_with_their_sources(headers, config, profile, strategy):
    async with Running(config=config) as running:
        told = await explain(running, headers=headers, body=LONG_BODY)
    assert (told["profile"]["name"], told["profile"]["source"]) == profile
    assert (told["strategy"]["name"], told["strategy"]["source"]) == strategy


@pytest.mark.parametrize(
    ("config", "notes"),
    [
        (PROFILES, ["config-profile none: there is no such profile"]),
        (PROFILES | {"authoritativeRoutingPolicy": True}, ["config-profile none: clients may not choose"]),
    ],
)
async def test_a_wish_for_a_profile_that_does_not_count(config, notes):
    async with Running(config=config) as running:
        assert (await explain(running, headers={"config-profile": "none"}))["notes"] == notes
        assert (await explain(running, headers={"config-profile": "default"}))["notes"] == []


async def test_a_session_decides_where_a_response_is_continued():
    async with Running() as running:
        body = {"previous_response_id": "r"}
        told = await explain(running, body=body, path="/v1/responses", headers={"x-session-id": "s"})
    assert told["strategy"] == {"name": "session-affinity", "source": "responses"}


@pytest.fixture
def keys(tmp_path):
    """Settings with one key, sk-good, of al."""
    file = tmp_path / "keys.yaml"
    file.write_text(json.dumps([{"name": "al", "sha256": hash_of("sk-good")}]))
    return {"auth": {"keys_file": str(file)}}


async def test_a_key_is_looked_at_where_one_is_given(keys):
    async with Running(**keys) as running:
        without = await explain(running)
        good = await explain(running, headers={"authorization": "Bearer sk-good"})
        bad = await explain(running, headers={"X-Api-Key": "sk-wrong"})
    assert without["credentials"] == {"needed": True, "key": None}
    assert without["choice"] is not None
    assert good["credentials"]["key"] == good["asked"]["user"] == "al"
    assert (bad["refused"]["status"], bad["asked"]) == (401, None)


async def test_tenants_are_not_guessed(keys):
    async with Running(**keys, prefix_cache={"isolate": "tenant"}) as running:
        told = await explain(running)
    assert (told["asked"]["user"], told["credentials"]["key"]) == (None, None)
    assert "tenant" in told["notes"][0]


# --- pods

PODS = [
    info(1, adapters=("sql",)),
    info(2, excluded="not_ready"),
    info(3, labels={"zone": "b"}, adapters=("sql",)),
    info(4, adapters=("sql",)),
    info(5, adapters=("sql",)),
    info(6),
]


async def test_each_pod_with_the_reason_why_it_is_none():
    config = {"profiles": {"default": {"requestsInflight": 5}}}
    async with Running(pods=PODS, config=config, ejection={"consecutive_failures": 1}) as running:
        by_number = {number: running.registry.pod(f"uid-{number}") for number in range(1, 7)}
        by_number[4].in_flight = 5
        admission = running.gateway.choosing.admission
        admission.failed(by_number[5], admission.placed(by_number[5]))
        told = await explain(running, "sql", headers={"external-filter": "zone!=b"})
        by_number[4].in_flight = 0
    assert excluded(told) == {
        "pod-1": None,
        "pod-2": "not_ready",
        "pod-3": "filter",
        "pod-4": "in_flight",
        "pod-5": "ejected",
        "pod-6": "adapter",
    }
    assert told["external_filter"] == "zone!=b"
    assert scores(told) == {"pod-1": 0} | dict.fromkeys(["pod-2", "pod-3", "pod-4", "pod-5", "pod-6"])
    assert told["choice"]["pod"] == "pod-1"
    assert told["choice"]["address"] == "10.0.0.1:8000"


async def test_a_pod_that_is_not_warm_keeps_its_tickets():
    async with Running(pods=[info(1), info(2)]) as running:
        running.registry.replace("test", [info(1), info(2)])
        running.registry.put("test", info(3))
        slow_start = running.gateway.choosing.admission.slow_start
        told = await explain(running)
        assert excluded(told) == {"pod-1": None, "pod-2": None, "pod-3": "held_back"}
        assert slow_start.tickets == {}


async def test_why_there_is_no_candidate():
    async with Running(pods=[info(1, excluded="terminating")]) as running:
        told = await explain(running)
    assert excluded(told) == {"pod-1": "terminating"}
    assert told["refused"]["outcome"] == "no_ready_pods"


async def test_an_unknown_strategy_excludes_nobody():
    async with Running() as running:
        told = await explain(running, headers={"routing-strategy": "fastest"})
    assert (told["strategy"], told["refused"]["status"]) == (None, 400)
    assert excluded(told) == {"pod-1": None, "pod-2": None}


# --- the choice


@pytest.mark.parametrize("name", [*sorted(TABLE), "least-request:2,prefix-cache:3,vtc-basic"])
async def test_the_choice_is_what_the_next_request_gets(name):
    async with Running(pods=8, routing={"default_strategy": name}) as running:
        for _ in range(5):
            told = await explain(running, body=LONG_BODY, headers={"user": "al"})
            reply = await running.ask(LONG_BODY.encode(), headers=[(b"user", b"al")])
            assert told["choice"]["pod"] == reply.header("target-pod").decode()


async def test_a_list_says_which_end_wins():
    async with Running() as running:
        assert (await explain(running))["highest_wins"] is False
        assert (await explain(running, headers={"routing-strategy": "least-request,vtc-basic"}))["highest_wins"] is True


async def test_both_legs():
    pods = [*PAIR, leg(3, "prefill", "b"), leg(4, "decode", "b")]
    async with disaggregated(pods=pods) as running:
        running.registry.pod("uid-1").in_flight = 7
        told = await explain(running, body=LONG_BODY)
        running.registry.pod("uid-1").in_flight = 0
    choice = told["choice"]
    assert (choice["prefill"], choice["pod"]) == ("pod-3", "pod-4")
    assert choice["prefill_address"] == "10.0.0.3:8000"
    assert {pod["name"]: pod["role"] for pod in told["pods"]}["pod-3"] == "prefill of b"
    found = scores(told)
    assert found["pod-1"] == pytest.approx(11.0)
    assert found["pod-3"] == pytest.approx(10.0)
    assert found["pod-2"] == found["pod-4"] == 0.0


async def test_why_one_pod_serves_both_legs():
    async with disaggregated(pods=[leg(2, "decode")]) as running:
        told = await explain(running)
        other = await explain(running, path="/v1/embeddings", body={"input": "x"})
    assert told["choice"]["alone"] == "incomplete"
    assert (other["choice"]["pod"], other["choice"]["alone"]) == ("pod-2", None)


async def test_no_pair():
    async with disaggregated(pods=[leg(1, "prefill")]) as running:
        told = await explain(running)
        refused = await explain(running, path="/v1/embeddings", body={"input": "x"})
    assert told["refused"]["outcome"] == refused["refused"]["outcome"] == "pd_error"


class Uncopied(Strategy):
    """Keeps what cannot be copied."""

    def set_up(self):
        self.lock = threading.Lock()

    def pick(self, request, pods, /):
        raise AssertionError("nobody asks")


class Learning(Strategy):
    """Never the same pod twice in a row, by a memory of its own."""

    def set_up(self):
        self.last = None

    def pick(self, request, pods, /):
        self.last = least_in_flight([pod for pod in pods if pod is not self.last], self.rng)
        return Target(self.last)


async def test_a_strategy_that_cannot_be_copied_does_not_tell():
    async with Running(strategies={"mine": Uncopied}, routing={"default_strategy": "mine"}) as running:
        told = await explain(running)
    assert (told["choice"], told["refused"]) == (None, None)
    assert told["notes"][0].startswith("mine does not tell: TypeError: cannot pickle")


async def test_a_strategy_of_ones_own_is_asked_as_a_copy():
    async with Running(pods=4, strategies={"mine": Learning}, routing={"default_strategy": "mine"}) as running:
        for _ in range(6):
            first, again = await explain(running), await explain(running)
            reply = await running.ask()
            assert first["choice"] == again["choice"]
            assert first["choice"]["pod"] == reply.header("target-pod").decode()
