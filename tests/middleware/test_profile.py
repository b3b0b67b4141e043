"""ProfileMiddleware, in the whole stack: which profile applies, and what it changes."""

import pytest

from tests.support import FakeAnswer, Running

CONFIG = {
    "defaultProfile": "inter",
    "profiles": {
        "inter": {"routingStrategy": "least-request"},
        "batch": {"routingStrategy": "random", "timeouts": {"first_byte_timeout": 7, "keepalive": 1}},
        "short": {"routingStrategy": "power-of-two", "routingConfig": {"promptTokensLt": 5}},
        "long": {"routingConfig": {"promptTokensGte": 5, "maxTokensGte": 100}},
        "ünï code": {},
    },
}
AUTHORITATIVE = CONFIG | {"authoritativeRoutingPolicy": True}


def chat(text="x", extra=""):
    return f'{{"model": "m", "messages": "{text}"{extra}}}'.encode()


async def applied(profile=None, body=None, config=CONFIG, **settings):
    async with Running(config=config, **settings) as running:
        headers = [] if profile is None else [(b"config-profile", profile.encode("latin-1"))]
        reply = await running.ask(body or chat(), headers=headers)
        assert reply.status == 200
        return reply


@pytest.mark.parametrize(
    ("wanted", "name", "strategy"),
    [
        (None, b"inter", b"least-request"),
        ("batch", b"batch", b"random"),
        (" batch ", b"batch", b"random"),
        ("", b"inter", b"least-request"),
        ("  ", b"inter", b"least-request"),
        ("nonsense", b"inter", b"least-request"),
        ("Batch", b"inter", b"least-request"),
        ("auto", b"short", b"power-of-two"),
        (" AUTO ", b"short", b"power-of-two"),
        ("ünï code", b"%C3%BCn%C3%AF%20code", b"least-request"),
    ],
)
async def test_the_header_selects(wanted, name, strategy):
    reply = await applied(wanted)
    assert reply.header("x-aibrix-config-profile") == name
    assert reply.header("routing-strategy") == strategy


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (chat("x" * 18), b"inter"),
        (chat("x" * 19, ', "max_tokens": 100'), b"long"),
        (chat("x" * 19, ', "max_completion_tokens": 100'), b"long"),
        (chat("x" * 19, ', "max_tokens": null, "max_output_tokens": 100'), b"long"),
        (chat("x" * 19, ', "max_tokens": 99'), b"inter"),
        (chat("x" * 13), b"short"),
        (chat("x" * 14), b"short"),
        (chat("x" * 15), b"inter"),
    ],
)
async def test_auto_by_size(body, name):
    assert (await applied("auto", body)).header("x-aibrix-config-profile") == name


@pytest.mark.parametrize("config", [None, {"profiles": {"other": {}}}])
async def test_the_built_in_profile(config):
    reply = await applied("nonsense", config=config)
    assert reply.header("x-aibrix-config-profile") == b"default"
    assert reply.header("routing-strategy") == b"least-request"


async def test_an_authoritative_model_ignores_and_hides():
    async with Running(config=AUTHORITATIVE) as running:
        headers = [(b"config-profile", b"batch"), (b"routing-strategy", b"nonsense"), (b"external-filter", b"a=b")]
        reply = await running.ask(headers=headers)
    assert reply.status == 200
    assert reply.header("x-aibrix-config-profile") == b"inter"
    assert [reply.header(name) for name in ("routing-strategy", "target-pod", "target-pod-ip")] == [None] * 3


async def test_the_settings_may_drop_the_header():
    reply = await applied("batch", routing={"client_headers": ["routing-strategy"]})
    assert reply.header("x-aibrix-config-profile") == b"inter"


async def test_timeouts_of_the_profile():
    async with Running(lambda _: FakeAnswer(b"{}"), config=CONFIG) as running:
        await running.ask(b'{"model": "m", "stream": true}', headers=[(b"config-profile", b"batch")])
        await running.ask(b'{"model": "m", "stream": true}')
        first, second = running.upstream.timers
    assert second.until - first.until == pytest.approx(300 - 7, abs=1)


async def test_an_alias_shares_the_profiles():
    models = {"m": {"config": CONFIG, "aliases": ["gpt-4o"]}}
    reply = await applied("batch", b'{"model": "gpt-4o"}', config=None, models=models)
    assert reply.header("x-aibrix-config-profile") == b"batch"
