"""The files that a gateway reads and follows: pods, session key, settings."""

import msgspec
import pytest

from aibrix_mw.app import create_app
from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.settings import ModelSettings, from_dict
from aibrix_mw.strategies.session_affinity import session_id
from tests.support import FakeUpstream, Running, ask, until

POD = """
kind: Pod
metadata: {name: %s, labels: {model.aibrix.ai/name: m, model.aibrix.ai/port: "9000"}}
"""


async def test_pods_from_a_file(tmp_path):
    file = tmp_path / "pods.yaml"
    file.write_text(POD % "one")
    app = create_app({"discovery": {"static": {"file": str(file)}}})
    app.upstream.plain = upstream = FakeUpstream()
    async with app.running():
        assert (await ask(app)).header("target-pod") == b"one"
        assert upstream.requests[0].address.netloc == "127.0.0.1:9000"
        file.write_text("kind: [")
        await until(app.faults)
        assert "pods.yaml" in str(app.faults()[0])
        assert (await ask(app)).status == 200
        file.write_text(POD % "another")
        await until(lambda: not app.faults())
        assert (await ask(app)).header("target-pod") == b"another"


async def test_the_session_key_from_a_file(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b" secret\n")
    routing = {"session_key_file": str(key), "default_strategy": "session-affinity"}
    async with Running(pods=1, routing=routing) as running:
        assert (await running.ask()).header("x-session-id") == session_id("uid-1", b"secret")


async def test_a_session_key_that_is_not_there(tmp_path):
    app = create_app({"routing": {"session_key_file": str(tmp_path / "nothing")}})
    with pytest.raises(ConfigurationError, match=r"routing\.session_key_file"):
        async with app.running():
            pass


# --- settings that change


async def test_models_apply_at_once(log):
    async with Running() as running:
        fresh = from_dict({"models": {"m": {"aliases": ["gpt-4o"]}}, "routing": {"attempts": 5}})
        running.gateway.reload(fresh)
        assert (await running.ask(b'{"model": "gpt-4o"}')).status == 200
        assert running.gateway.settings.models == fresh.models
        assert running.gateway.settings.routing.attempts == 2
    assert "settings: routing.attempts has changed and needs a restart" in log()


async def test_a_reload_that_fails_changes_nothing():
    async with Running(models={"m": {"aliases": ["gpt-4o"]}}) as running:
        before = running.gateway.settings
        broken = msgspec.structs.replace(before, models={"m": ModelSettings(endpoints=("ftp://x",))})
        with pytest.raises(ConfigurationError):
            running.gateway.reload(broken)
        assert running.gateway.settings is before
        assert (await running.ask(b'{"model": "gpt-4o"}')).status == 200


async def test_the_settings_file_is_followed(tmp_path, log):
    file = tmp_path / "settings.yaml"
    file.write_text("one")
    reads = []

    def read():
        reads.append(file.read_text())
        if reads[-1] == "broken":
            raise ConfigurationError([Fault("x", "is wrong")])
        return from_dict({"models": {"m": {"aliases": [reads[-1]]}}})

    async with _following(file, read) as running:
        file.write_text("broken")
        await until(running.gateway.faults)
        file.write_text("broken")
        await until(lambda: len(reads) == 2)
        file.write_text("another")
        await until(lambda: not running.gateway.faults())
        assert (await running.ask(b'{"model": "another"}')).status == 200
    assert len([line for line in log() if "the last good version stays" in line]) == 1


def _following(file, read):
    running = Running()
    running.gateway.follow(file, read)
    return running
