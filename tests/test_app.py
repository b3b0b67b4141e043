"""The gateway as one thing: its life, its files, its settings."""

import asyncio
import logging
import sys

import pytest
from starlette.middleware import Middleware

from aibrix_mw.app import Gateway, create_app
from aibrix_mw.errors import ConfigurationError
from aibrix_mw.settings import Settings
from aibrix_mw.strategies.base import Strategy
from tests.support import BODY, FakeUpstream, Running, ask, settle


class Last(Strategy):
    """The last pod."""


def faults(settings, **options):
    with pytest.raises(ConfigurationError) as caught:
        create_app(settings, **options)
    return [str(fault) for fault in caught.value.faults]


# --- making one


def test_it_needs_no_loop_and_no_files():
    assert isinstance(create_app({}), Gateway)
    assert create_app(Settings()).settings == Settings()
    create_app({"discovery": {"static": {"file": "/no/such/file"}}})


def test_every_fault_is_named():
    assert faults({"routing": {"attempts": 0, "nonsense": 1}, "x": 1}) != []
    (fault,) = faults({"routing": {"default_strategy": "nonsense"}})
    assert fault.startswith("routing.default_strategy: incorrect routing strategy nonsense")
    (fault,) = faults({"models": {"m": {"config": {"profiles": {}}}}})
    assert fault.startswith("models.m.config $.profiles")
    (fault,) = faults({}, strategies={"mine": "no_such_module:Thing"})
    assert fault.startswith("no_such_module:Thing: cannot be imported")


def test_metrics_without_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "aibrix_mw.middleware.metrics", None)
    (fault,) = faults({})
    assert fault.startswith("metrics.enabled: needs prometheus_client")
    create_app({"metrics": {"enabled": False}})


def test_strategies_by_class_or_by_import_string():
    own = {"mine": Last, "theirs": "aibrix_mw.strategies.random:Random"}
    app = create_app({"routing": {"default_strategy": "mine"}}, strategies=own)
    assert isinstance(app.catalogue.get("mine"), Last)
    assert type(app.catalogue.get("theirs")).__name__ == "Random"


class Outer:
    """Notes that it was passed."""

    def __init__(self, app, name="a"):
        self.app = app
        self.name = name

    async def __call__(self, scope, receive, send):
        scope.setdefault("passed", []).append(self.name)
        assert "aibrix_mw.request_id" not in scope
        await self.app(scope, receive, send)


async def test_middlewares_around_it():
    async with Running(outer=[Outer, Middleware(Outer, name="b")]) as running:
        scope = {"passed": []}
        assert (await running.ask(**scope)).status == 200
        assert scope["passed"] == ["a", "b"]


# --- its life


async def lifespan(app, messages=("lifespan.startup", "lifespan.shutdown")):
    """Run a lifespan; gives what the server was told."""
    sent = []
    remaining = [{"type": kind} for kind in messages]

    async def receive():
        return remaining.pop(0)

    async def send(message):
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_its_own_lifespan():
    app = create_app({})
    app.upstream.plain = upstream = FakeUpstream()
    assert await lifespan(app) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert not app.lifecycle.running
    assert upstream.closed


async def test_a_start_that_fails_says_why(tmp_path):
    app = create_app({"discovery": {"static": {"file": str(tmp_path / "missing.yaml")}}})
    (message,) = await lifespan(app)
    assert message["type"] == "lifespan.startup.failed"
    assert "missing.yaml" in message["message"]
    assert not app.lifecycle.running


async def test_it_can_run_again():
    async with Running() as running:
        pass
    assert (await running.ask()).status == 503
    async with running.gateway.running():
        assert (await running.ask()).status == 200


async def test_before_running_one_line_says_so(log):
    app = create_app({})
    assert [(await ask(app)).status for _ in range(3)] == [503] * 3
    assert len([line for line in log() if "running()" in line]) == 1


async def test_background_work_ends_with_it():
    async with Running() as running:
        ended = []

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        running.gateway._background.append(work)
        async with running.gateway.running():
            await settle()
        assert ended == [True]


# --- two in one process


async def test_two_gateways_do_not_mix():
    async with Running(pods=1, models={"m": {"aliases": ["one"]}}) as first, Running(pods=2) as second:
        assert (await first.ask(b'{"model": "one"}')).status == 200
        assert (await second.ask(b'{"model": "one"}')).status == 404
        assert (await second.ask(BODY)).status == 200
        assert (len(first.upstream.requests), len(second.upstream.requests)) == (1, 1)
        assert list(await first.outcomes()) == [("m", "default", "200", "ok")]
        assert len(await second.outcomes()) == 2
        first.gateway.lifecycle.closing = True
        assert (await first.ask()).status == 503
        assert (await second.ask()).status == 200


def test_nothing_of_the_process_is_touched():
    before = logging.getLogger().handlers[:], logging.getLogger("aibrix_mw").level
    create_app({})
    assert (logging.getLogger().handlers[:], logging.getLogger("aibrix_mw").level) == before
