"""What each gateway tells the others: numbers by name, a few times a second, and nothing per request.

A gateway writes one small hash of its own with a time to live, and reads those of all others. There is no list of
gateways to keep in order: one lives as long as its hash does, and when it dies its numbers go with it, at the latest
`ttl + interval` seconds later.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from secrets import token_hex
from typing import Any, NamedTuple

import msgspec

logger = logging.getLogger("aibrix_mw")

INTERVAL = 0.4
TTL = 1.2
"""Together below 2 seconds, and one heartbeat may be lost."""

_VERSION = "v1"
_INDEX_SECONDS = 60

Numbers = Mapping[str, float]
_NOTHING = msgspec.msgpack.encode({})
_decode = msgspec.msgpack.Decoder(dict[str, float]).decode


class Topic(NamedTuple):
    """Something that gateways tell each other: `collect` gives this one's numbers, `take` gets the others' sum."""

    name: str
    collect: Callable[[], Numbers]
    take: Callable[[Numbers], object]


class Exchange:
    """Tells and hears the topics every `interval` seconds; `live` is the last known number of gateways, this included.

    `client` is a `redis.asyncio` client, of whatever kind. While the store is away the others' numbers are forgotten
    after `ttl`: old ones are worse than none.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - single server, sentinel or cluster: redis-py has no type for all of them
        topics: Iterable[Topic],
        *,
        namespace: str = "aibrix_mw",
        interval: float = INTERVAL,
        ttl: float = TTL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.topics = tuple(topics)
        self.interval = interval
        self.ttl = ttl
        self.clock = clock
        self.live = 1
        self.connected: bool | None = None
        self._heard = clock()
        self._id = token_hex(8)
        # one hash tag: all of it is in one slot of a cluster
        self._prefix = f"{namespace}:{_VERSION}:{{shared}}:"
        self._index = self._prefix + "gateways"

    async def run(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Exchange until cancelled, then leave."""
        try:
            while True:
                await self.tick()
                await sleep(self.interval)
        finally:
            await self.leave()

    async def tick(self) -> None:
        """Tell and hear once; never raises for what the store does."""
        try:
            async with asyncio.timeout(self.ttl / 2):
                told = await self._exchange()
                sums = await self._sums_of(told)
        except Exception as error:  # noqa: BLE001 - redis-py raises its own, OSError and what a proxy makes of it
            self._is_connected(False, error)
            if self.clock() - self._heard >= self.ttl:
                self._hand_out([{} for _ in self.topics])
            return
        self._heard = self.clock()
        self.live = 1 + len(told)
        self._is_connected(True)
        self._hand_out(sums)

    async def leave(self) -> None:
        """Take this gateway's numbers back, so that nobody has to wait for their end."""
        try:
            async with asyncio.timeout(self.ttl / 2):
                pipeline = self.client.pipeline()
                pipeline.delete(self._key(self._id))
                pipeline.srem(self._index, self._id)
                await pipeline.execute()
        except Exception as error:  # noqa: BLE001
            logger.debug("store: numbers of this gateway stay until they expire: %s", error)

    async def _exchange(self) -> list[Mapping[bytes, bytes]]:
        """The hashes of all other gateways that live, after writing this one's."""
        key = self._key(self._id)
        pipeline = self.client.pipeline()
        pipeline.hset(key, mapping={topic.name: msgspec.msgpack.encode(topic.collect()) for topic in self.topics})
        pipeline.pexpire(key, int(self.ttl * 1000))
        pipeline.sadd(self._index, self._id)
        pipeline.expire(self._index, _INDEX_SECONDS)
        pipeline.smembers(self._index)
        *_, members = await pipeline.execute()
        known = [member.decode() for member in members if member != self._id.encode()]
        if not known:
            return []
        pipeline = self.client.pipeline()
        for gateway in known:
            pipeline.hgetall(self._key(gateway))
        found = await pipeline.execute()
        dead = [gateway for gateway, told in zip(known, found, strict=True) if not told]
        if dead:
            await self.client.srem(self._index, *dead)
        return [told for told in found if told]

    async def _sums_of(self, told: Iterable[Mapping[bytes, bytes]]) -> list[Numbers]:
        """One sum a topic."""
        sums: list[defaultdict[str, float]] = [defaultdict(float) for _ in self.topics]
        for hash_ in told:
            for topic, sum_ in zip(self.topics, sums, strict=True):
                for subject, number in _decode(hash_.get(topic.name.encode(), _NOTHING)).items():
                    sum_[subject] += number
            await asyncio.sleep(0)  # with thousands of pods each hash takes a millisecond, which requests need not wait
        return [*sums]

    def _hand_out(self, sums: Iterable[Numbers]) -> None:
        for topic, numbers in zip(self.topics, sums, strict=True):
            topic.take(numbers)

    def _key(self, gateway: str) -> str:
        return f"{self._prefix}gateway:{gateway}"

    def _is_connected(self, now: bool, error: Exception | None = None) -> None:
        """One line in the log for each change."""
        if now == self.connected:
            return
        if error is not None:
            logger.warning("store: what other gateways do is not known: %s", error or type(error).__name__)
        elif self.connected is False:
            logger.info("store: other gateways are heard again")
        self.connected = now
