"""Limits are told and not taken."""

from tests.explain.asking import explain
from tests.refusals_access import KEYS
from tests.support import Clock, Running

CONFIG = {"requestsPerSecond": 3, "profiles": {"default": {"requestsPerSecond": 2}}}


def at_rest(running):
    """A gateway whose windows do not end by themselves."""
    clock = running.gateway.counting.limiter.windows.clock = Clock(60_000.25)
    return clock


async def test_used_and_left():
    async with Running(config=CONFIG) as running:
        at_rest(running)
        await running.ask()
        for _ in range(5):
            told = await explain(running)
        assert told["counted_by"] == "process"
        assert told["limits"] == [
            {"name": "profile default", "limit": 2, "per": 1.0, "cost": 1, "used": 1, "left": 1, "resets": 0.75},
            {"name": "all profiles", "limit": 3, "per": 1.0, "cost": 1, "used": 1, "left": 2, "resets": 0.75},
        ]
        assert (await running.ask()).status == 200
        told = await explain(running)
        reply = await running.ask()
    assert (reply.status, told["refused"]["status"], told["choice"]) == (429, 429, None)
    assert told["refused"]["message"] == reply.json()["error"]["message"] == "model: m has exceeded RPS: 2"
    assert told["pods"][0]["score"] == 0


async def test_the_window_after():
    async with Running(config=CONFIG) as running:
        clock = at_rest(running)
        await running.ask()
        clock.now += 1
        assert [limit["used"] for limit in (await explain(running))["limits"]] == [0, 0]


async def test_a_user_pays_for_tokens():
    records = {"al": {"rpm": 2, "tpm": 100}}
    async with Running(users={"records": records}) as running:
        at_rest(running)
        told = await explain(running, headers={"user": "al"}, body={"messages": [], "max_tokens": 60})
        assert [(limit["name"], limit["used"], limit["cost"]) for limit in told["limits"]] == [
            ("user's rpm", 0, 1),
            ("user's tpm", 0, 61),
        ]
        await running.ask(b'{"model": "m", "max_tokens": 60}', headers=[(b"user", b"al")])
        told = await explain(running, headers={"user": "al"}, body={"messages": [], "max_tokens": 60})
    assert told["refused"]["headers"] == {"x-error-tpm-exceeded": "true", "retry-after": "60"}
    assert told["refused"]["message"] == "user: al has exceeded TPM: 100"


async def test_in_a_store(valkey_url):
    async with Running(config=CONFIG, store={"url": valkey_url, "timeout": 5}) as running:
        await running.gateway.counting.windows.client.flushall()
        for _ in range(3):
            told = await explain(running, headers={"user": "al"})
        assert (told["counted_by"], told["limits"][0]["used"]) == ("store", 0)
        assert not [key async for key in running.gateway.counting.windows.client.scan_iter("*profile*")]


async def test_while_the_store_is_away():
    for policy, by, left in [("local", "process", 2), ("open", "nobody", None), ("refuse", "nobody", None)]:
        settings = {"store": {"url": "redis://127.0.0.1:1"}, "rate_limit": {"on_store_error": policy}}
        async with Running(config=CONFIG, **settings) as running:
            told = await explain(running)
        assert (told["counted_by"], told["limits"][0]["left"]) == (by, left)
        assert told["notes"]
        assert (told["refused"] or {}).get("outcome") == ("store_refused" if policy == "refuse" else None)


async def test_a_user_may_be_named_where_a_key_is_left_out():
    async with Running(**KEYS, users={"records": {"al": {"rpm": 1}}}) as running:
        (limit,) = (await explain(running, headers={"user": "al"}))["limits"]
    assert (limit["name"], limit["left"]) == ("user's rpm", 1)
