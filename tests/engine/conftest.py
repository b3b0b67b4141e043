"""Time in the test's hand, a client that sees every ASGI message, and an engine on a real socket."""

import asyncio
import heapq
import itertools
import json

import httpx
import pytest

from aibrix_mw.engine.sim import EngineOptions, create_engine
from tests.serving import listening


class VirtualTime:
    """Seconds that pass only in `advance`, which wakes sleepers in order and lets the loop settle at each instant."""

    def __init__(self):
        self.now = 0.0
        self._sleepers = []
        self._order = itertools.count()

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        until = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), until))
        await until

    async def advance(self, seconds):
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end + 1e-9:
            when, _, until = heapq.heappop(self._sleepers)
            self.now = max(self.now, when)
            if not until.done():
                until.set_result(None)
            await settle()
        self.now = end


class SkippingTime(VirtualTime):
    """Each sleep passes at once: for tests of what is answered rather than when."""

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


class Call:
    """One request over bare ASGI: what was sent so far, and a client that can leave."""

    def __init__(self, app, path, body, headers):
        self.messages = []
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._sent = False
        self._gone = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self):
        if not self._sent and self._body:
            self._sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.messages.append(message)

    def leave(self):
        self._gone.set()

    @property
    def status(self):
        return self.messages[0]["status"] if self.messages else None

    @property
    def chunks(self):
        return [m["body"] for m in self.messages[1:] if m["body"]]

    @property
    def events(self):
        return [json.loads(c.removeprefix(b"data: ")) for c in self.chunks if c != b"data: [DONE]\n\n"]

    @property
    def complete(self):
        last = self.messages[-1] if self.messages else {}
        return last.get("type") == "http.response.body" and not last.get("more_body", False)


@pytest.fixture
def time():
    return VirtualTime()


@pytest.fixture
def make(time):
    """An engine in virtual time; speeds that make round numbers."""

    def make(clock=time, **options):
        defaults = {"models": ("m",), "prefill_tokens_per_second": 10, "decode_tokens_per_second": 2}
        return create_engine(EngineOptions(**{**defaults, **options}), clock=clock.clock, sleep=clock.sleep)

    return make


@pytest.fixture
def quick(make):
    """An engine whose sleeps pass at once."""
    return lambda **options: make(clock=SkippingTime(), **options)


@pytest.fixture
async def call():
    calls = []

    def call(app, path="/v1/completions", body=None, **headers):
        calls.append(Call(app, path, {"prompt": "x"} if body is None else body, headers))
        return calls[-1]

    yield call
    for made in calls:
        made.task.cancel()
    await asyncio.gather(*(made.task for made in calls), return_exceptions=True)


@pytest.fixture
async def http():
    """HTTP clients of applications, in process."""
    clients = []

    def http(app):
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://engine"))
        return clients[-1]

    yield http
    for client in clients:
        await client.aclose()


@pytest.fixture
def listen():
    """Serve an application; gives its URL."""
    return listening
