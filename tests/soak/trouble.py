"""What goes wrong: every so often one fault, drawn at random, which ends by itself after a while."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.soak.stage import LIMITS, MODEL, Pod, Stage
from tests.soak.traffic import FLOOD, SLOW, Crowd

ENGINE_FAULTS = (
    {"mode": "refuse"},
    {"mode": "error", "status": 500},
    {"mode": "error", "status": 503},
    {"mode": "die", "after_chunks": 3},
    {"mode": "die", "after_chunks": 0},
    {"mode": "stall"},
    {"mode": "stall", "after_chunks": 2},
)


class Trouble:
    """Causes one fault `every` so many seconds; what it does to pods it does to none that is in trouble already."""

    def __init__(self, stage: Stage, crowd: Crowd, rng: Random, every: float) -> None:
        self.stage = stage
        self.crowd = crowd
        self.rng = rng
        self.every = every
        self.log: list[tuple[float, str]] = []
        self.troubled: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._store_busy = False
        on_pods = (self.die, self.leave, self.flap, self.flap, self.freeze, self.break_engine, self.break_engine)
        others = (self.come, self.restart_store, self.hang_store, self.clients_leave, self.slow_readers, self.flood)
        self.faults: tuple[Callable[[], Awaitable[None]], ...] = (*on_pods, *others, self.settings, self.broken_file)

    def counts(self) -> dict[str, int]:
        """How often each kind of fault was caused."""
        return dict(Counter(told.partition(":")[0] for _, told in self.log))

    async def run(self, seconds: float) -> None:
        """Cause faults for so long, then let all of them come to their end."""
        loop = asyncio.get_running_loop()
        begun, number = loop.time(), 0
        while (number + 1) * self.every < seconds:
            number += 1
            await asyncio.sleep(max(0.0, begun + number * self.every - loop.time()))
            self._cause(self.rng.choice(self.faults))
        await asyncio.sleep(max(0.0, begun + seconds - loop.time()))

    async def end(self) -> None:
        """Wait until nothing is wrong any more. Raises what a fault did not expect."""
        await asyncio.gather(*self._under_way)

    def _cause(self, fault: Callable[[], Awaitable[None]]) -> None:
        self._under_way.add(asyncio.ensure_future(fault()))

    def _say(self, what: str) -> None:
        self.log.append((round(time.monotonic() - self.crowd.begun, 1), what))

    async def _while(self, low: float, high: float) -> None:
        await asyncio.sleep(self.rng.uniform(low, high))

    def _victim(self) -> Pod | None:
        """A pod that nothing is wrong with, from now on in trouble."""
        fine = [pod for pod in self.stage.pods if pod.name not in self.troubled]
        if not fine:
            return None
        pod = self.rng.choice(fine)
        self.troubled.add(pod.name)
        return pod

    # --- pods

    async def die(self) -> None:
        """An engine is gone at once; the cluster notices later, and another pod takes its place."""
        if pod := self._victim():
            self._say(f"dies: {pod.name}")
            pod.engine.child.kill()
            await self._while(0.5, 2)
            pod.ready = False
            self.stage.tell_pods()
            await self._while(0, 2)
            self.stage.drop(pod)
            await self.stage.add(pod.model, pod.role)

    async def leave(self) -> None:
        """A pod is replaced in good order: the new one first; the old one terminates, and has a moment to finish."""
        if pod := self._victim():
            self._say(f"leaves: {pod.name}")
            await self.stage.add(pod.model, pod.role)
            pod.leaving = True
            self.stage.tell_pods()
            await self._while(1, 3)
            pod.engine.signal(signal.SIGTERM)
            self.stage.drop(pod)

    async def come(self) -> None:
        """One more pod, for a while."""
        self._say("comes: another pod")
        pod = await self.stage.add(MODEL)
        self.troubled.add(pod.name)
        await self._while(2, 6)
        self.stage.drop(pod)
        await self._while(0, 1)
        pod.engine.signal(signal.SIGTERM)

    async def flap(self) -> None:
        """A pod is Ready and is not, in turn."""
        if pod := self._victim():
            times = self.rng.randint(1, 4)
            self._say(f"flaps: {pod.name}, {times} times")
            for _ in range(2 * times):
                pod.ready = not pod.ready
                self.stage.tell_pods()
                await self._while(0.3, 1.5)
            self.troubled.discard(pod.name)

    async def freeze(self) -> None:
        """An engine stands still and goes on as if nothing had been."""
        if pod := self._victim():
            self._say(f"freezes: {pod.name}")
            pod.engine.signal(signal.SIGSTOP)
            await self._while(0.5, 5)
            pod.engine.signal(signal.SIGCONT)
            self.troubled.discard(pod.name)

    async def break_engine(self) -> None:
        """An engine fails some of its requests."""
        if pod := self._victim():
            fault = {**self.rng.choice(ENGINE_FAULTS), "count": self.rng.randint(1, 20)}
            self._say(f"breaks: {pod.name}, {fault}")
            async with httpx.AsyncClient(base_url=pod.engine.url, timeout=20) as http:
                (await http.post("/sim/faults", json=fault)).raise_for_status()
                await self._while(2, 8)
                (await http.post("/sim/faults", json={"mode": "none"})).raise_for_status()
            self.troubled.discard(pod.name)

    async def broken_file(self) -> None:
        """The file of pods is half written for a while."""
        self._say("breaks off: the file of pods")
        self.stage.tell_pods(broken=True)
        await self._while(0.3, 2)
        self.stage.tell_pods()

    # --- the store

    async def restart_store(self) -> None:
        """The store is away, and comes back having forgotten everything."""
        if not self._store_busy:
            self._store_busy = True
            self._say("restarts: the store")
            await asyncio.to_thread(self.stage.store.stop)
            await self._while(0, 3)
            await asyncio.to_thread(self.stage.start_store)
            self._store_busy = False

    async def hang_store(self) -> None:
        """The store takes commands and answers none for a while."""
        if not self._store_busy:
            self._store_busy = True
            self._say("hangs: the store")
            milliseconds = self.rng.randint(100, 2000)
            async with Redis(port=self.stage.store_port) as client:
                try:
                    await client.client_pause(milliseconds)
                except RedisError as error:
                    raise AssertionError("the store cannot be paused") from error
            await asyncio.sleep(milliseconds / 1000)
            self._store_busy = False

    # --- clients and operators

    async def clients_leave(self) -> None:
        """All clients drop what they have under way."""
        self._say("leave: all clients")
        self.crowd.leave()

    async def slow_readers(self) -> None:
        """Some who hardly read."""
        guests = self.rng.randint(3, 10)
        self._say(f"read slowly: {guests} guests")
        self.crowd.rush(SLOW, guests)

    async def flood(self) -> None:
        """More at once than the gateway takes."""
        guests = self.rng.randint(50, 150)
        self._say(f"flood: {guests} guests")
        self.crowd.rush(FLOOD, guests)

    async def settings(self) -> None:
        """Another limit, while requests are counted."""
        self.stage.limit = self.rng.choice(LIMITS)
        self._say(f"changes: the limit to {self.stage.limit}")
        self.stage.tell_settings()
