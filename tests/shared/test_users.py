"""Limits of users, from settings and from a real server."""

import asyncio
import json

import pytest

from aibrix_mw.errors import StoreRefused
from aibrix_mw.settings import UserRecord
from aibrix_mw.shared.users import UNLIMITED, StoredUser, StoredUsers, Users
from tests.support import Clock, settle, until

AL = UserRecord(rpm=10, tpm=1000)


@pytest.fixture
def stored(client):
    return StoredUsers(client)


@pytest.fixture
def clock():
    return Clock()


def users(stored, clock, **more):
    return Users({"set": UserRecord(rpm=1)}, stored, clock=clock, **{"timeout": 1} | more)


async def written(client, name, raw):
    await client.set(f"aibrix-users/{name}", raw if isinstance(raw, bytes) else json.dumps(raw))


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        ({"name": "al", "rpm": 10, "tpm": 1000}, AL),
        ({"name": "al", "rpm": 10}, UserRecord(rpm=10)),
        ({"name": "al", "rpm": 0, "tpm": -1}, UNLIMITED),
        ({"name": "al", "rpm": None, "tpm": 5, "later": 1}, UserRecord(tpm=5)),
    ],
)
async def test_records_in_aibrix_format(client, stored, clock, raw, record):
    await written(client, "al", raw)
    assert await users(stored, clock).find("al") == record


async def test_who_has_no_record_has_no_limit(stored, clock):
    asked = users(stored, clock)
    assert asked.find_now("bo") is None
    assert await asked.find("bo") == UNLIMITED
    assert asked.find_now("bo") == UNLIMITED


async def test_settings_win_and_ask_nobody(client, clock):
    await written(client, "set", {"name": "set", "rpm": 99})
    asked = users(StoredUsers(client), clock)
    assert asked.find_now("set") == UserRecord(rpm=1)
    asked.records = {}
    assert await asked.find("set") == UserRecord(rpm=99)


def test_without_a_store_everything_is_known():
    assert Users({"al": AL}).find_now("al") == AL
    assert Users({}).find_now("bo") == UNLIMITED


async def test_a_name_too_long_for_a_record_asks_nobody(clock):
    assert users(StoredUsers(None), clock).find_now("x" * 257) == UNLIMITED


async def test_a_record_is_read_again_while_the_old_one_is_used(client, stored, clock):
    asked = users(stored, clock)
    await written(client, "al", {"name": "al", "rpm": 10, "tpm": 1000})
    await asked.find("al")
    await written(client, "al", {"name": "al", "rpm": 20})
    assert asked.find_now("al") == AL
    await settle()
    assert asked._reading == {}
    clock.now += 5
    assert [asked.find_now("al") for _ in range(3)] == [AL] * 3
    assert len(asked._reading) == 1
    await until(lambda: asked.find_now("al") == UserRecord(rpm=20))


async def test_many_requests_of_a_new_user_read_once(client, stored, clock):
    asked = users(stored, clock)
    await asked.find("bo")
    before = (await client.info("commandstats"))["cmdstat_get"]["calls"]
    await asyncio.gather(*(asked.find("al") for _ in range(50)))
    assert (await client.info("commandstats"))["cmdstat_get"]["calls"] == before + 1


@pytest.mark.parametrize("raw", [b"nonsense", b"[]", b'{"name": "al", "rpm": "many"}', b"\xff"])
async def test_a_broken_record_is_told_once_and_limits_nobody(client, stored, clock, log, raw):
    await written(client, "al", raw)
    asked = users(stored, clock)
    assert await asked.find("al") == UNLIMITED
    clock.now += 5
    assert await asked.find("al") == UNLIMITED
    assert len([line for line in log() if "aibrix-users/al: is not a user's record" in line]) == 1


async def test_a_store_that_is_away(server, stored, client, clock):
    await written(client, "al", {"rpm": 10, "tpm": 1000})
    lenient, strict = users(stored, clock), users(stored, clock, strict=True)
    for asked in (lenient, strict):
        await asked.find("al")
    server.stop()
    clock.now += 60
    assert await lenient.find("bo") == UNLIMITED
    assert lenient.away
    assert lenient.find_now("bo") is None  # nothing is remembered of it
    with pytest.raises(StoreRefused):
        await strict.find("bo")
    assert lenient.find_now("al") == strict.find_now("al") == AL
    clock.now += 1
    assert not lenient.away


async def test_a_store_that_hangs_is_waited_for_once_a_second(client, stored, clock):
    asked = users(stored, clock, timeout=0.05)
    await client.client_pause(500)
    assert await asked.find("bo") == UNLIMITED
    async with asyncio.timeout(0.04):
        assert await asked.find("bo") == UNLIMITED
    await client.client_unpause()


async def test_a_store_known_to_be_away_is_not_asked(clock):
    assert await users(StoredUsers(None), clock, away=lambda: "gone").find("bo") == UNLIMITED


async def test_what_is_kept_is_bounded(stored, clock, monkeypatch):
    monkeypatch.setattr("aibrix_mw.shared.users._KEPT", 2)
    asked = users(stored, clock)
    for name in ("a", "b", "c"):
        await asked.find(name)
    assert [asked.find_now(name) for name in ("a", "b", "c")] == [None, UNLIMITED, UNLIMITED]


async def test_closing_ends_what_is_being_read(client, stored, clock):
    await client.client_pause(500)
    asked = users(stored, clock)
    asking = asyncio.ensure_future(asked.find("al"))
    await settle()
    await asked.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked._reading == {}
    await client.client_unpause()


async def test_records_are_listed_written_and_deleted(stored):
    await stored.set(StoredUser("al", 10, 1000))
    await stored.set(StoredUser("a/b c", rpm=3))
    assert sorted([name async for name in stored.names()]) == ["a/b c", "al"]
    assert json.loads(await stored.client.get("aibrix-users/al")) == {"name": "al", "rpm": 10, "tpm": 1000}
    assert (await stored.get("a/b c"), await stored.get("bo")) == (StoredUser("a/b c", 3), None)
    assert [await stored.delete("al"), await stored.delete("al")] == [True, False]
