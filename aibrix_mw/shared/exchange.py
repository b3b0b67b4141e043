"""What each gateway tells the others: numbers by name, a few times a second, and nothing per request.

A gateway writes one small hash of its own with a time to live, and reads those of all others. There is no list of
gateways to keep in order: one lives as long as its hash does, and when it dies its numbers go with it, at the latest
`ttl + interval` seconds later.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from secrets import token_hex
from typing import Any, NamedTuple, Protocol

import msgspec

logger = logging.getLogger("aibrix_mw")

INTERVAL = 0.4
TTL = 1.2
"""Together below 2 seconds, and one heartbeat may be lost."""

_VERSION = "v1"
_INDEX_SECONDS = 60
_TEXT = "text"

Numbers = Mapping[str, float]
_NOTHING = msgspec.msgpack.encode({})
_decode = msgspec.msgpack.Decoder(dict[str, float]).decode


class Topic(NamedTuple):
    """Something that gateways tell each other: `collect` gives this one's numbers, `take` gets the others' sum."""

    name: str
    collect: Callable[[], Numbers]
    take: Callable[[Numbers], object]


class Bulletin(Protocol):
    """Something longer than numbers, which gateways read of each other once in `every` seconds, and nobody adds up."""

    every: float

    def collect(self) -> bytes | None:
        """What to tell now; None for nothing."""
        ...

    async def take(self, told: Mapping[str, bytes]) -> None:
        """Take over what other gateways tell, by their ids; who has told nothing is not in it."""
        ...

    def meet(self, me: str, others: frozenset[str] | None) -> None:
        """Hear the ids of all gateways that live, after each turn; `others` is None while the store is away."""
        ...


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
        bulletin: Bulletin | None = None,
        namespace: str = "aibrix_mw",
        interval: float = INTERVAL,
        ttl: float = TTL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.topics = tuple(topics)
        self.bulletin = bulletin
        self.interval = interval
        self.ttl = ttl
        self.clock = clock
        self.live = 1
        self.connected: bool | None = None
        self._heard = clock()
        self._read_at = -math.inf
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
                known = await self._tell()
                told, bulletins = await self._hear(known)
                sums = await self._sums_of(told.values())
        except Exception as error:  # noqa: BLE001 - redis-py raises its own, OSError and what a proxy makes of it
            self._is_connected(False, error)
            if self.clock() - self._heard >= self.ttl:
                self._hand_out([{} for _ in self.topics])
                self._meet(None)
            return
        self._heard = self.clock()
        self.live = 1 + len(told)
        self._is_connected(True)
        self._hand_out(sums)
        self._meet(frozenset(told))
        if self.bulletin is not None and bulletins is not None:
            await self.bulletin.take(bulletins)

    async def leave(self) -> None:
        """Take this gateway's numbers back, so that nobody has to wait for their end."""
        try:
            async with asyncio.timeout(self.ttl / 2):
                pipeline = self.client.pipeline()
                pipeline.delete(self._key(self._id), self._bulletin_key(self._id))
                pipeline.srem(self._index, self._id)
                await pipeline.execute()
        except Exception as error:  # noqa: BLE001
            logger.debug("store: numbers of this gateway stay until they expire: %s", error)

    async def _tell(self) -> list[str]:
        """Write this gateway's hashes; the ids of all others that have been here lately."""
        pipeline = self.client.pipeline()
        self._write(pipeline, self._key(self._id), {t.name: msgspec.msgpack.encode(t.collect()) for t in self.topics})
        bulletin = self.bulletin.collect() if self.bulletin is not None else None
        if bulletin is not None:
            self._write(pipeline, self._bulletin_key(self._id), {_TEXT: bulletin})
        pipeline.sadd(self._index, self._id)
        pipeline.expire(self._index, _INDEX_SECONDS)
        pipeline.smembers(self._index)
        *_, members = await pipeline.execute()
        return [member.decode() for member in members if member != self._id.encode()]

    def _write(self, pipeline: Any, key: str, mapping: Mapping[str, bytes]) -> None:  # noqa: ANN401 - as the client
        pipeline.hset(key, mapping=mapping)
        pipeline.pexpire(key, int(self.ttl * 1000))

    async def _hear(self, known: list[str]) -> tuple[dict[str, Mapping[bytes, bytes]], dict[str, bytes] | None]:
        """The hashes of those that live, by id, and their bulletins where it is time for these."""
        is_due = self.bulletin is not None and self.clock() + self.interval > self._read_at + self.bulletin.every
        keys = [*map(self._key, known), *(map(self._bulletin_key, known) if is_due else ())]
        found = await self._read(keys)
        told = {gateway: hash_ for gateway, hash_ in zip(known, found, strict=False) if hash_}
        dead = [gateway for gateway in known if gateway not in told]
        if dead:
            await self.client.srem(self._index, *dead)
        if not is_due:
            return told, None
        self._read_at = self.clock()
        texts = zip(known, found[len(known) :], strict=True)
        return told, {gateway: hash_[_TEXT.encode()] for gateway, hash_ in texts if hash_ and gateway in told}

    async def _read(self, keys: list[str]) -> list[Mapping[bytes, bytes]]:
        if not keys:
            return []
        pipeline = self.client.pipeline()
        for key in keys:
            pipeline.hgetall(key)
        found: list[Mapping[bytes, bytes]] = await pipeline.execute()
        return found

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

    def _meet(self, others: frozenset[str] | None) -> None:
        if self.bulletin is not None:
            self.bulletin.meet(self._id, others)

    def _key(self, gateway: str) -> str:
        return f"{self._prefix}gateway:{gateway}"

    def _bulletin_key(self, gateway: str) -> str:
        return f"{self._key(gateway)}:bulletin"

    def _is_connected(self, now: bool, error: Exception | None = None) -> None:
        """One line in the log for each change."""
        if now == self.connected:
            return
        if error is not None:
            logger.warning("store: what other gateways do is not known: %s", error or type(error).__name__)
        elif self.connected is False:
            logger.info("store: other gateways are heard again")
        self.connected = now
