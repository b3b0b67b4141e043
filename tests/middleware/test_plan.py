"""PlanMiddleware, in the whole stack: strategy, filter, and what the answer tells."""

import pytest

from aibrix_mw.pods.pod import Target
from aibrix_mw.scope import PLAN
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.session_affinity import PUBLIC_KEY, session_id
from tests.support import Client, Running, info

LEAST = "aibrix_mw.strategies.least_request:LeastRequest"
RESPONSES = b'{"model": "m", "previous_response_id": "resp_1"}'


def config_of(strategy=None, **model):
    return {"profiles": {"default": {"routingStrategy": strategy} if strategy else {}}} | model


class Last(Strategy):
    """The last pod."""

    def pick(self, request, pods, /):
        return Target(pods[-1])


async def planned(config=None, headers=(), **settings):
    async with Running(config=config, **settings) as running:
        client = Client(running.gateway, headers=headers)
        reply = await client.ask()
        assert reply.status == 200, reply.body
        plan = PLAN.require(client.scope)
        return plan.strategy_name, plan.source


RANDOM = [(b"routing-strategy", b"random")]
POWER = {"routing": {"default_strategy": "power-of-two"}}


@pytest.mark.parametrize(
    ("config", "headers", "settings", "expected"),
    [
        (None, [], {}, ("least-request", "default")),
        (None, [], POWER, ("power-of-two", "default")),
        (config_of("session-affinity"), [], POWER, ("session-affinity", "profile")),
        (config_of("session-affinity"), RANDOM, POWER, ("random", "header")),
        (
            config_of("session-affinity", lockedRoutingStrategy="least-request"),
            RANDOM,
            POWER,
            ("least-request", "locked"),
        ),
        (config_of("session-affinity", authoritativeRoutingPolicy=True), RANDOM, {}, ("session-affinity", "profile")),
        (config_of(), [(b"routing-strategy", b"  ")], {}, ("least-request", "default")),
        (config_of(), [(b"routing-strategy", b" random ")], {}, ("random", "header")),
        (config_of(), RANDOM, {"routing": {"client_headers": []}}, ("least-request", "default")),
        (config_of(LEAST), [], {}, (LEAST, "profile")),
        (config_of(), [], {"routing": {"default_strategy": LEAST}}, (LEAST, "default")),
    ],
)
async def test_locked_then_header_then_profile_then_default(config, headers, settings, expected):
    assert await planned(config, headers, **settings) == expected


@pytest.mark.parametrize("name", ["nonsense", "no_such_module:Thing", "least-request:x", "random,least-request"])
@pytest.mark.parametrize("source", ["profile", "locked"])
async def test_an_unknown_name_from_any_source_is_400(name, source):
    config = config_of(name) if source == "profile" else config_of(lockedRoutingStrategy=name)
    async with Running(config=config) as running:
        reply = await running.ask()
    assert (reply.status, reply.header("x-error-routing")) == (400, b"true")
    assert reply.json()["error"]["message"] == f"incorrect routing strategy {name}"


async def test_what_is_wrong_with_the_request_is_told_first():
    async with Running(pods=[info(1, excluded="not_ready")]) as running:
        strategy, selector = (b"routing-strategy", b"nonsense"), (b"external-filter", b"(((")
        asked = [[strategy, selector], [selector], []]
        codes = [(await running.ask(headers=headers)).json()["error"]["code"] for headers in asked]
    assert codes == ["invalid_routing_strategy", "invalid_external_filter", "service_unavailable"]


@pytest.mark.parametrize("wanted", [LEAST, "os:system", "tests.middleware.test_plan:Last"])
async def test_a_header_never_names_a_class(wanted):
    async with Running() as running:
        reply = await running.ask(headers=[(b"routing-strategy", wanted.encode())])
    assert reply.status == 400
    assert reply.json()["error"]["code"] == "invalid_routing_strategy"


async def test_a_strategy_of_ones_own():
    async with Running(pods=3, strategies={"last": Last}) as running:
        reply = await running.ask(headers=[(b"routing-strategy", b"last")])
        assert reply.header("routing-strategy") == b"last"
        assert reply.header("target-pod") == b"pod-3"


async def test_an_unknown_name_is_told_as_the_client_wrote_it():
    async with Running() as running:
        reply = await running.ask(headers=[(b"routing-strategy", "größte".encode())])
    assert reply.json()["error"]["message"] == "incorrect routing strategy größte"


async def test_a_list_is_told_as_visible_ascii():
    async with Running() as running:
        reply = await running.ask(headers=[(b"routing-strategy", b"least-request:6, session-affinity:4")])
        assert reply.header("routing-strategy") == b"least-request:6,%20session-affinity:4"
        assert reply.header("x-session-id") is not None
        reply = await running.ask(headers=[(b"routing-strategy", b",".join([b"least-request"] * 99))])
        assert (reply.status, len(reply.header("routing-strategy"))) == (200, 256)
        reply = await running.ask(headers=[(b"routing-strategy", b"least-request:6,\xa0session-affinity")])
        assert all(0x21 <= byte <= 0x7E for byte in reply.header("routing-strategy"))


# --- the external filter


FLEET = [info(1, labels={"gpu": "a100"}), info(2, labels={"gpu": "h100", "zone": "b"}), info(3, excluded="not_ready")]


@pytest.mark.parametrize(
    ("selector", "pod"),
    [("gpu=a100", b"pod-1"), (" gpu in (h100, x), zone ", b"pod-2"), ("!zone", b"pod-1"), ("gpu!=a100", b"pod-2")],
)
async def test_a_filter(selector, pod):
    async with Running(pods=FLEET) as running:
        replies = [await running.ask(headers=[(b"external-filter", selector.encode())]) for _ in range(5)]
    assert {reply.header("target-pod") for reply in replies} == {pod}


async def test_a_filter_that_is_not_allowed_is_dropped():
    async with Running(pods=FLEET, routing={"client_headers": ["config-profile"]}) as running:
        assert (await running.ask(headers=[(b"external-filter", b"(((")])).status == 200


async def test_a_blank_filter_is_none():
    async with Running(pods=FLEET) as running:
        assert (await running.ask(headers=[(b"external-filter", b"  ")])).status == 200


# --- what the answer tells


async def test_the_target_is_told():
    async with Running(pods=[info(1), info(2, excluded="not_ready")]) as running:
        reply = await running.ask()
    assert reply.headers[-3:] == [
        (b"routing-strategy", b"least-request"),
        (b"target-pod", b"pod-1"),
        (b"target-pod-ip", b"10.0.0.1:8000"),
    ]


async def test_the_target_is_not_told():
    async with Running(routing={"expose_target": False}, config=config_of("session-affinity")) as running:
        reply = await running.ask()
    assert [reply.header(name) for name in ("routing-strategy", "target-pod", "target-pod-ip")] == [None] * 3
    assert reply.header("x-session-id")


# --- a response that builds on another


def session_of(number):
    return (b"x-session-id", session_id(f"uid-{number}", PUBLIC_KEY))


async def test_responses_go_where_the_last_one_is():
    async with Running(pods=3, config=config_of("random")) as running:
        for number in (2, 3, 1):
            headers = [session_of(number), (b"routing-strategy", b"random")]
            reply = await running.ask(RESPONSES, "/v1/responses", headers)
            assert reply.header("target-pod") == b"pod-%d" % number
            assert reply.header("routing-strategy") == b"session-affinity"
            assert reply.header("x-session-id") == session_of(number)[1]


async def test_responses_need_to_say_where():
    async with Running(pods=2) as running:
        reply = await running.ask(RESPONSES, "/v1/responses")
    assert reply.status == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_value", "previous_response_id")


@pytest.mark.parametrize(
    ("body", "path", "pods"),
    [
        (RESPONSES, "/v1/responses", 1),
        (RESPONSES, "/v1/chat/completions", 2),
        (b'{"model": "m", "previous_response_id": null}', "/v1/responses", 2),
        (b'{"model": "m"}', "/v1/responses", 2),
    ],
)
async def test_other_responses_go_anywhere(body, path, pods):
    async with Running(pods=pods) as running:
        reply = await running.ask(body, path)
    assert (reply.status, reply.header("routing-strategy")) == (200, b"least-request")
