"""Prefill and decode on real sockets: updates under load, engines that die, clients that leave (F73, F74)."""

import asyncio

import httpx
import pytest

from aibrix_mw.pods.pod import Address
from tests.asgi import ask
from tests.fleet import LOOPBACK, Fleet, within
from tests.legs import leg

VERSION = "model.aibrix.ai/pd-compatibility"


async def test_every_decode_fetches_what_its_prefill_announced():
    async with Fleet() as fleet, httpx.AsyncClient(base_url=fleet.url) as http:
        prefill, decode = await fleet.add("prefill"), await fleet.add("decode")
        whole = await fleet.ask(http)
        streamed = await fleet.ask(http, stream=True)
        assert whole.json()["usage"]["completion_tokens"] == 4
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert decode.engine.transfers.fetched == prefill.engine.transfers.given == 2
        assert decode.engine.metrics.value("vllm:prompt_tokens_by_source_total", 'source="local_compute"') == 0
        assert prefill.engine.finished()["length"] == 2


async def test_each_role_restarts_in_turn():
    """0 of at least 100 requests fail, and none goes to a roleset that is not complete."""
    async with Fleet() as fleet:
        for roleset in "ab":
            for role in ("prefill", "decode"):
                await fleet.add(role, roleset)
        strays = []

        async def update():
            for member in list(fleet.members):
                _, role, roleset, _ = member.facts
                await fleet.retire(member)
                left = [other for other in fleet.members if other.facts[2] == roleset]
                # who has had a prompt computed there may still be on the way to the decode pod
                await within(20, lambda left=left: not any(fleet.in_flight(other) for other in left))
                before = [other.asked for other in left]
                done = len(fleet.answers)
                await within(20, lambda done=done: len(fleet.answers) >= done + 20)
                strays.append([other.asked for other in left] != before)
                await fleet.add(role, roleset)
                done = len(fleet.answers)
                await within(20, lambda done=done: len(fleet.answers) >= done + 10)

        await fleet.load(asyncio.ensure_future(update()))
        assert len(fleet.answers) >= 100
        assert fleet.statuses() == {200: len(fleet.answers)}
        assert strays == [False] * 4
        assert fleet.fallbacks() == 0


async def test_an_image_upgrade_of_a_model_with_one_roleset():
    async with Fleet() as fleet:
        old_prefill, old_decode = [await fleet.add(role, **{VERSION: "1"}) for role in ("prefill", "decode")]

        async def served(count):
            done = len(fleet.answers)
            await within(20, lambda: len(fleet.answers) >= done + count)

        async def upgrade():
            await served(20)
            await fleet.add("prefill", **{VERSION: "2"})
            await served(20)
            await fleet.retire(old_prefill)
            await served(20)
            await fleet.add("decode", **{VERSION: "2"})
            await served(20)
            await fleet.retire(old_decode)
            await served(20)

        await fleet.load(asyncio.ensure_future(upgrade()))
        assert fleet.statuses() == {200: len(fleet.answers)}
        assert 0 < fleet.fallbacks() < len(fleet.answers) - 60  # between the two halves
        versions = {f"a-{role}-{number}": "12"[number > 2] for role in ("prefill", "decode") for number in range(1, 5)}
        mixed = [pair for pair in fleet.pairs() if pair[0] is not None and versions[pair[0]] != versions[pair[1]]]
        assert mixed == []


@pytest.mark.parametrize("role", ["prefill", "decode"])
async def test_engines_die_without_notice(role):
    async with Fleet() as fleet:
        for roleset in "ab":
            await fleet.add("prefill", roleset)
            await fleet.add("decode", roleset)

        async def deaths():
            await within(20, lambda: len(fleet.answers) >= 20)
            victim = next(member for member in fleet.members if member.facts[1] == role)
            fleet.kill(victim)
            await within(20, lambda: len(fleet.answers) >= 80)
            fleet.app.registry.remove("test", f"uid-{victim.facts[0]}")
            await within(20, lambda: len(fleet.answers) >= 100)

        await fleet.load(asyncio.ensure_future(deaths()))
        assert fleet.statuses() == {200: len(fleet.answers)}


async def test_a_prefill_that_died_after_it_had_answered():
    """The decode pod's 500 leads to a fresh prefill elsewhere (F73)."""
    async with Fleet() as fleet, httpx.AsyncClient(base_url=fleet.url) as http:
        await fleet.add("decode")
        first = await fleet.add("prefill")
        first.engine.transfers.announced = Forgetful()
        assert (await fleet.ask(http)).headers.get("x-aibrix-pd") == "fallback"
        second = await fleet.add("prefill")
        for _ in range(6):
            answer = await fleet.ask(http)
            assert (answer.status_code, answer.headers.get("x-aibrix-pd")) == (200, None)
        assert second.engine.transfers.given == 6


class Forgetful(dict[str, object]):
    """What an engine announced before it was restarted."""

    def __setitem__(self, key, value):
        pass


@pytest.mark.parametrize(("mode", "reason"), [("refuse", "reset"), ("error", "status_503"), ("stall", "timeout")])
async def test_faults_of_the_prefill_engine(mode, reason):
    async with Fleet(upstream={"prefill_timeout": 0.2}) as fleet, httpx.AsyncClient(base_url=fleet.url) as http:
        prefill, decode = await fleet.add("prefill"), await fleet.add("decode")
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{prefill.listener.port}") as engine:
            await engine.post("/sim/faults", json={"mode": mode})
        answer = await fleet.ask(http)
        assert (answer.status_code, answer.headers["x-aibrix-pd"]) == (200, "fallback")
        await within(1, lambda: not prefill.busy)
        assert decode.engine.transfers.fetched == 0
        legs = fleet.app.stack
        while not hasattr(legs, "metrics"):
            legs = legs.app
        assert legs.metrics.prefill_errors == {("m", reason): 1}


class Silent:
    """An engine that takes requests and never answers; tells when its connections close."""

    def __init__(self):
        self.taken = self.closed = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()

    async def _serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.taken += 1
        while await reader.read(65536):
            pass
        self.closed += 1
        writer.close()


@pytest.mark.parametrize(("engine", "legs"), [("vllm", 1), ("sglang", 2)])
async def test_the_client_leaves_during_prefill(engine, legs):
    async with Fleet() as fleet, Silent() as prefill, Silent() as decode:
        for number, role, silent in ((1, "prefill", prefill), (2, "decode", decode)):
            info = leg(number, role, engine=engine, address=Address(LOOPBACK, silent.port))
            fleet.app.registry.put("test", info)
        body = b'{"model":"m","prompt":"x"}'
        head = (
            b"POST /v1/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        )
        seconds = []
        for asked in (legs, 2 * legs, 3 * legs):  # the machine may be busy: one quiet moment of three will do
            _, writer = await asyncio.open_connection(LOOPBACK, fleet.front.port)
            writer.write(head % len(body) + body)
            await within(2, lambda asked=asked: prefill.taken + decode.taken == asked)
            writer.close()
            seconds.append(await within(2, lambda asked=asked: prefill.closed + decode.closed == asked))
        assert min(seconds) < 0.1
        assert [pod.in_flight for pod in fleet.app.registry.serving("m")] == [0, 0]


async def test_a_prefill_that_dies_closes_the_decode_connection():
    """Within 100 ms, and one failure is counted (F73); one quiet moment of five will do."""
    assert min([await seconds_until_decode_is_closed() for _ in range(5)]) <= 0.1


async def seconds_until_decode_is_closed():
    """Both legs of SGLang are under way when the prefill engine goes."""
    async with Fleet() as fleet, Silent() as decode, httpx.AsyncClient(base_url=fleet.url) as http:
        prefill = await fleet.add("prefill")
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{prefill.listener.port}") as engine:
            await engine.post("/sim/faults", json={"mode": "stall"})
        for number, role, port in ((1, "prefill", prefill.listener.port), (2, "decode", decode.port)):
            info = leg(number, role, engine="sglang", address=Address(LOOPBACK, port))
            fleet.app.registry.put("test", info)
        asking = asyncio.ensure_future(fleet.ask(http))
        await within(2, lambda: decode.taken == 1 and prefill.asked == 1)
        fleet.kill(prefill)
        seconds = await within(2, lambda: decode.closed == 1)
        assert (await asking).status_code == 503
        metrics = (await ask(fleet.app.admin, b"", "/metrics", method="GET")).body.decode()
        counted = [line for line in metrics.splitlines() if line.startswith("aibrix_gateway_pd_prefill_errors_total{")]
        assert [line.rpartition(" ")[2] for line in counted] == ["1.0"]
        return seconds
