"""Simulated engines on sockets, pods that come and go, and a gateway over them, all in one loop."""

import asyncio
import time
from collections import Counter

import httpx

from aibrix_mw.app import create_app
from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.pods.pod import Address
from aibrix_mw.server import Listener
from tests.legs import PD, leg

LOOPBACK = "127.0.0.1"


class Member:
    """One pod with its engine."""

    def __init__(self, number, role, roleset, labels):
        self.name = f"{roleset}-{role}-{number}"
        options = EngineOptions(models=("m",), name=self.name, decode_tokens_per_second=500.0)
        self.engine = create_engine(options)
        self.listener = Listener(self.engine, LOOPBACK, 0)
        self.facts = (number, role, roleset, labels)

    @property
    def info(self):
        number, role, roleset, labels = self.facts
        return leg(number, role, roleset, labels=labels, name=self.name, address=Address(LOOPBACK, self.listener.port))

    @property
    def asked(self):
        """Inference requests that have reached it."""
        return sum(count for path, count in self.engine.journal.requests.items() if path.startswith("/v1/"))

    @property
    def busy(self):
        return self.engine.scheduler.running + self.engine.scheduler.waiting


class Fleet:
    """A gateway for model `m` and its pods, as a context manager."""

    def __init__(self, **settings):
        # engines and clients share its loop: what keeps them busy must not look like a gateway that is overloaded
        calm = {"limits": {"max_loop_lag": 30}, "routing": {"slow_start": 1}}
        self.app = create_app({"models": {"m": {"config": PD}}, **calm, **settings})
        self.front = Listener(self.app, LOOPBACK, 0)
        self.members = []
        self.answers = []
        self._numbers = 0

    async def __aenter__(self):
        await self.front.open()
        self.url = f"http://{LOOPBACK}:{self.front.port}"
        self._running = self.app.running()
        await self._running.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._running.__aexit__(*error)
        for listener in (self.front, *(member.listener for member in self.members)):
            listener.close()
            listener.abort()

    async def add(self, role, roleset="a", **labels):
        """A pod that is Ready at once."""
        self._numbers += 1
        member = Member(self._numbers, role, roleset, labels)
        await member.listener.open()
        self.members.append(member)
        self.app.registry.put("test", member.info)
        return member

    async def retire(self, member):
        """A pod that terminates: it gets nothing new, finishes what it has been chosen for, and is gone."""
        pod = self.app.registry.pod(member.info.uid)
        self.app.registry.remove("test", member.info.uid)
        await within(20, lambda: pod.in_flight == 0)
        self.kill(member)

    def in_flight(self, member):
        """Requests that have been chosen for it and have not ended."""
        return self.app.registry.pod(member.info.uid).in_flight

    def kill(self, member):
        """An engine that is gone from one moment to the next."""
        member.listener.close()
        member.listener.abort()
        self.members.remove(member)

    async def ask(self, http, **fields):
        body = {"model": "m", "prompt": "x" * 400, "max_tokens": 4, **fields}
        answer = await http.post("/v1/completions", json=body)
        self.answers.append(answer)
        return answer

    async def load(self, until, at_once=4):
        """Ask on and on until the task is done."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as http:

            async def client():
                while not until.done():
                    await self.ask(http)

            await asyncio.gather(*(client() for _ in range(at_once)))
        await until

    def statuses(self):
        return Counter(answer.status_code for answer in self.answers)

    def fallbacks(self):
        return sum(answer.headers.get("x-aibrix-pd") == "fallback" for answer in self.answers)

    def pairs(self):
        """Which pods have served together."""
        return Counter((a.headers.get("prefill-target-pod"), a.headers.get("target-pod")) for a in self.answers)


async def within(seconds, condition):
    """How long it took until the condition held."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return time.monotonic() - begun
