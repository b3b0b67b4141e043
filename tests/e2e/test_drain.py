"""How a served gateway ends: load balancers notice first, streams finish, nothing hangs."""

import asyncio
import json
import os
import signal
import time

import httpx
import pytest

from tests.e2e.support import CHAT, Engine, Gateway, chat, eventually, readiness


@pytest.fixture(scope="module")
def slow_engine(tmp_path_factory):
    """An engine that takes its time: 20 tokens a second."""
    engine = Engine(tmp_path_factory.mktemp("slow"), "slow", "--decode-tokens-per-second", "20")
    yield engine
    engine.end()


@pytest.fixture
def gateway(run, slow_engine):
    """Start a gateway that shuts down with this delay and this grace."""

    def start(delay, grace):
        variables = {"AIBRIX_MW_SHUTDOWN__DELAY": str(delay), "AIBRIX_MW_SHUTDOWN__GRACE": str(grace)}
        return run(slow_engine.pod, kind=Gateway, **variables)

    return start


async def started_stream(http, max_tokens):
    """A stream whose first event has come, and an iterator over its other lines."""
    request = http.build_request("POST", CHAT, json=chat(stream=True, max_tokens=max_tokens))
    answer = await http.send(request, stream=True)
    lines = answer.aiter_lines()
    await anext(lines)
    return answer, lines


async def rest_of(lines, seen=None):
    """The lines until the end, which may come as an exception: `seen` has them all the same."""
    seen = [] if seen is None else seen
    async for line in lines:
        seen += [line] if line else []
    return seen


async def test_sigterm_lets_everything_finish(gateway):
    served = gateway(delay=1.5, grace=20)
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", served.port)
        idle_writer.write(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n")
        assert b"200 OK" in await idle_reader.readuntil(b"\r\n\r\n")
        _, stream = await started_stream(http, 60)

        signalled = time.monotonic()
        served.signal(signal.SIGTERM)

        async def unready():
            return await readiness(http) == 503

        await eventually(unready, "not ready at once", 0.5)
        assert (await http.get(f"{served.admin_url}/readyz")).json() == {"status": "draining"}
        late = asyncio.create_task(http.post(CHAT, json=chat(max_tokens=60)))
        quick = await http.post(CHAT, json=chat(max_tokens=1))
        assert quick.status_code == 200
        assert "connection" not in quick.headers

        async def refusing():
            return await readiness(http) is None

        await eventually(refusing, "a closed listener")
        assert time.monotonic() - signalled > 1.4
        body = await asyncio.wait_for(idle_reader.read(), 1)
        assert body == b'{"status":"ok"}'
        idle_writer.close()
        assert (await http.get(f"{served.admin_url}/healthz")).status_code == 200
        answer = await late
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert (await rest_of(stream))[-1] == "data: [DONE]"
    assert served.ended() == 0


async def test_a_stream_longer_than_the_grace_is_cut(gateway):
    """F44: within half a second after the grace; one quiet moment of three will do."""
    assert min([await seconds_until_cut(gateway(delay=0, grace=0.5)) for _ in range(3)]) < 1.0


async def seconds_until_cut(served):
    """From SIGTERM to the end of a stream, which is cut, with an error event."""
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        _, stream = await started_stream(http, 10_000)
        signalled = time.monotonic()
        served.signal(signal.SIGTERM)
        seen: list[str] = []
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed"):
            await rest_of(stream, seen)
        cut = time.monotonic() - signalled
    assert json.loads(seen[-1].removeprefix("data: "))["error"]["code"] == "upstream_error"
    assert "data: [DONE]" not in seen
    assert 0.5 <= cut < 3
    assert served.ended(2) == 0
    return cut


async def test_a_second_interrupt_hurries(gateway):
    served = gateway(delay=60, grace=60)
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        _, stream = await started_stream(http, 10_000)
        served.signal(signal.SIGINT)
        await asyncio.to_thread(served.said, "draining: not ready")
        served.signal(signal.SIGINT)
        with pytest.raises(httpx.RemoteProtocolError):
            await rest_of(stream)
    assert served.ended(3) == 0


@pytest.mark.parametrize("option", ["--settings", "--pods"])
async def test_sigterm_while_it_starts(run, tmp_path, option):
    """A file that nobody has written yet: reading it holds up the start for as long as the test wants."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    served = run("serve", option, str(fifo), "--host", "127.0.0.1", "--port", "0", "--admin-port", "0")

    async def writer():
        try:
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError:  # no reader yet
            return None

    with await eventually(writer, "the gateway reads the file"):
        served.signal(signal.SIGTERM)
    # the end of the file wakes a process whose signal came just before it began to wait for the file
    assert served.ended(5) == 0
    assert "Traceback" not in served.output
