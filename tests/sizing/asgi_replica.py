"""The simulated engine behind the real load generator, both in virtual time: all but sockets and processes."""

import asyncio
from random import Random

from aibrix_mw.engine.sim import create_engine
from aibrix_mw.errors import UpstreamTimeout
from aibrix_mw.sizing.client import Client
from aibrix_mw.sizing.generator import carry_out
from aibrix_mw.sizing.target import parse_target
from aibrix_mw.sizing.workload import Workload
from tests.virtual_time import VirtualLoop

MESSAGE_END = {"type": "http.disconnect"}


class AsgiAnswer:
    """An answer that an application gives, piece by piece."""

    def __init__(self, request, timers):
        self.status, self.headers, self.ended = 0, [], False
        self._timers = timers
        self.headed = asyncio.Event()
        self._chunks = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = iter([{"type": "http.request", "body": request.body, "more_body": False}])
        self._waits = timers.until - asyncio.get_running_loop().time()
        self._timer = timers.timer

    async def serve(self, app, scope):
        await app(scope, self._receive, self._send)
        self._chunks.put_nowait(b"")

    async def _receive(self):
        for message in self._asked:
            return message
        await self._gone.wait()
        return MESSAGE_END

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            self.headed.set()
        elif message.get("body"):
            self._chunks.put_nowait(message["body"])

    async def read(self):
        chunk = await self.wait(self._chunks.get())
        self._waits, self._timer = self._timers.idle, "idle_timeout"
        return chunk

    async def wait(self, something):
        try:
            async with asyncio.timeout(self._waits):
                return await something
        except TimeoutError:
            raise UpstreamTimeout(self._timer) from None

    def close(self):
        self._gone.set()


class AsgiUpstream:
    """An `Upstream` to an application in this process."""

    def __init__(self, app):
        self.app = app
        self._serving = set()

    async def send(self, request, timers):
        answer = AsgiAnswer(request, timers)
        headers = [(b"host", request.host), *request.headers]
        scope = {"type": "http", "method": "POST", "path": request.target.decode(), "headers": headers}
        task = asyncio.ensure_future(answer.serve(self.app, {**scope, "query_string": b"", "root_path": ""}))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            await answer.wait(answer.headed.wait())
        except BaseException:
            answer.close()
            raise
        return answer


class EngineReplica:
    """A `Runner`: the generator's own code against the engine; `harm(engine, rate)` is called before each step."""

    def __init__(self, queue, harm):
        self.queue, self.harm = queue, harm
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        loop = self._runner.get_loop()
        self.engine = create_engine(queue.options(), clock=loop.time, sleep=asyncio.sleep)
        target = parse_target("http://h:1", "chat")
        self._client = Client(AsgiUpstream(self.engine), target, loop.time)
        workload = Workload("m", output_tokens=queue.tokens, bytes_per_token=4.0, overhead=7.0)
        self._bodies = workload.bodies(Random(1))

    def run(self, order, tell):
        plan = getattr(order, "plan", None)
        self.harm(self.engine, plan.rate if plan else 0.0)
        self._runner.run(asyncio.sleep(0.01))  # what was cut before has left
        return self._runner.run(carry_out(order, self._client, self._bodies, tell))

    def close(self):
        self._runner.close()
