"""Gateways, reduced to what they share about engines, over one real store and in a time of the test's own."""

import asyncio
from random import Random

from aibrix_mw.pods.scraper import Scraper
from aibrix_mw.shared.exchange import INTERVAL, Exchange, Topic
from aibrix_mw.shared.scrapes import SharedScrapes
from tests.pods.timed import Engines
from tests.support import info, registry_of

KV = frozenset({"kv_cache_usage"})
STEP = 0.1


class Replica:
    """One gateway: its own registry, scraper and turn in the exchange."""

    def __init__(self, fleet, name, infos, fields, ttl):
        self.name = name
        self.fields = fields
        self.engines = Engines(fleet.time, fleet.answers)
        self.registry = registry_of(*infos)
        self.shared = SharedScrapes(1.0, fleet.time)
        topics = [Topic("none", dict, lambda _: None)]
        self.exchange = Exchange(fleet.client, topics, bulletin=self.shared, clock=fleet.time, ttl=ttl)
        self.exchange._id = f"gateway-{name}"  # not by chance: whose a pod is follows from it
        self.scraper = Scraper(
            self.registry,
            self.engines,
            lambda _model: self.fields,
            sharing=self.shared,
            clock=fleet.time,
            sleep=fleet.time.sleep,
            rng=Random(name),
        )
        self.task = asyncio.ensure_future(self.scraper.run())
        self.due = fleet.time.now

    @property
    def asks(self):
        """Uids of pods whose engines this one asks now."""
        return {pod.uid for pod in self.scraper._loops}

    def metrics(self, number=1):
        return self.registry.pod(f"uid-{number}").metrics

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Fleet:
    """Several gateways; `answers` are the engines' by host."""

    def __init__(self, time, client, pods=12):
        self.time = time
        self.client = client
        self.pods = pods
        self.answers = {}
        self.replicas = []

    def infos(self, *numbers):
        return [info(number) for number in numbers or range(1, self.pods + 1)]

    def add(self, name, *, infos=None, fields=KV, ttl=60.0):
        """A gateway joins; a time to live so long that no neighbour on this machine makes it look dead."""
        replica = Replica(self, name, infos if infos is not None else self.infos(), fields, ttl)
        self.replicas.append(replica)
        return replica

    async def pass_(self, seconds):
        """Let time pass for all that live."""
        until = self.time.now + seconds - STEP / 2
        while self.time.now < until:
            for replica in self.replicas:
                if replica.due <= self.time.now + STEP / 2:
                    replica.due = self.time.now + INTERVAL
                    await replica.exchange.tick()
            await self.time.pass_(STEP)

    async def kill(self, replica):
        """It stops without a word, and the store forgets it when its time to live is over: 1.2 s later."""
        self.replicas.remove(replica)
        await replica.stop()
        await self.pass_(1.2)
        exchange = replica.exchange
        await self.client.delete(exchange._key(exchange._id), exchange._bulletin_key(exchange._id))

    async def leave(self, replica):
        """It stops in good order."""
        self.replicas.remove(replica)
        await replica.stop()
        await replica.exchange.leave()

    def asked(self, number, since=0.0):
        """When the engine was asked since then, by whomsoever."""
        return sorted(at for replica in self.replicas for at in replica.engines.times(number) if at >= since)

    async def stop(self):
        for replica in self.replicas:
            await replica.stop()
