"""Limits of users: from the settings, else from records in the store, in AIBrix's format.

A record is the JSON `{"name": ..., "rpm": ..., "tpm": ...}` under the key `aibrix-users/<name>`; a limit that is
absent, 0 or negative is none. Records are kept for a few seconds, so that a request normally needs no trip for its
user's.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault, StoreRefused
from aibrix_mw.settings.schema import UserRecord

logger = logging.getLogger("aibrix_mw")

PREFIX = "aibrix-users/"
UNLIMITED = UserRecord()
LONGEST_NAME = 256
_KEPT = 10_000
_PAUSE = 1.0


class StoredUser(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record as the store holds it."""

    name: str = ""
    rpm: int | None = None
    tpm: int | None = None

    def limits(self) -> UserRecord:
        """The limits of the record."""
        return UserRecord(rpm=self.rpm if (self.rpm or 0) > 0 else None, tpm=self.tpm if (self.tpm or 0) > 0 else None)


class StoredUsers:
    """The records in a store; `client` is a `redis.asyncio` client of whatever kind."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - redis-py has no type for all of them
        self.client = client

    async def get(self, name: str) -> StoredUser | None:
        """One record; None where there is none. ConfigurationError when it is not one."""
        raw = await self.client.get(PREFIX + name)
        return None if raw is None else _decode(name, raw)

    async def set(self, user: StoredUser) -> None:
        """Write a record, in the place of one with the same name."""
        await self.client.set(PREFIX + user.name, msgspec.json.encode(user))

    async def delete(self, name: str) -> bool:
        """Remove a record; whether there was one."""
        return bool(await self.client.delete(PREFIX + name))

    async def names(self) -> AsyncIterator[str]:
        """Names that have a record, in no order."""
        async for key in self.client.scan_iter(PREFIX + "*"):
            yield key.decode(errors="replace").removeprefix(PREFIX)


def _decode(name: str, raw: bytes) -> StoredUser:
    try:
        return msgspec.json.decode(raw, type=StoredUser)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([Fault(PREFIX + name, f"is not a user's record: {error}")]) from None


class Users:
    """Which limits a user has: ask `find_now`, and where that is None, await `find`.

    What the settings say wins over the store. A record of the store is used for `keep` seconds; after that it is used
    once more while it is read again, so that only a user's first request waits, at most `timeout` seconds. While
    `away` says that the store is not asked, and for a second after it did not answer, nobody waits. `strict`: who
    cannot be looked up is refused (StoreRefused) instead of unlimited.
    """

    def __init__(
        self,
        records: Mapping[str, UserRecord],
        stored: StoredUsers | None = None,
        *,
        timeout: float = 0.05,
        keep: float = 5.0,
        away: Callable[[], object] = lambda: None,
        strict: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records = records
        self.stored = stored
        self.timeout = timeout
        self.keep = keep
        self._away = away
        self.strict = strict
        self.clock = clock
        self._silent_until = -math.inf
        self._known: dict[str, tuple[float, UserRecord]] = {}
        self._reading: dict[str, asyncio.Task[UserRecord | None]] = {}

    @property
    def away(self) -> bool:
        """Whether the store is not worth asking now."""
        return bool(self._away()) or self.clock() < self._silent_until

    def find_now(self, name: str) -> UserRecord | None:
        """The user's limits, where that takes no waiting; None where it does."""
        record = self.records.get(name)
        if record is not None:
            return record
        if self.stored is None or len(name) > LONGEST_NAME:
            return UNLIMITED
        known = self._known.get(name)
        if known is None:
            return None
        if self.clock() >= known[0] and not self.away:
            self._read(name)
        return known[1]

    async def find(self, name: str) -> UserRecord:
        """The user's limits, from the store. StoreRefused where it cannot tell, and that is the policy."""
        record = None if self.away else await asyncio.shield(self._read(name))
        if record is None and self.strict:
            raise StoreRefused
        return record or UNLIMITED

    async def aclose(self) -> None:
        """End what is being read."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _read(self, name: str) -> asyncio.Task[UserRecord | None]:
        """Read a record from the store; those who ask at the same time read it once."""
        task = self._reading.get(name)
        if task is None:
            task = self._reading[name] = asyncio.get_running_loop().create_task(self._ask(name))
            task.add_done_callback(lambda _: self._reading.pop(name, None))
        return task

    async def _ask(self, name: str) -> UserRecord | None:
        """The store's word; None when it does not answer. A broken record is told, and limits nobody."""
        assert self.stored is not None
        try:
            async with asyncio.timeout(self.timeout):
                found = await self.stored.get(name)
        except ConfigurationError as error:
            if name not in self._known:
                logger.error("%s", error)
            found = None
        except Exception as error:  # noqa: BLE001 - whatever a client library raises, requests go on
            logger.debug("store: %s%s: %s", PREFIX, name, error or type(error).__name__)
            self._silent_until = self.clock() + _PAUSE
            return None
        record = UNLIMITED if found is None else found.limits()
        self._known.pop(name, None)
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[name] = (self.clock() + self.keep, record)
        return record
