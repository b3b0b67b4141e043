"""One list + watch of pods, kept up for ever.

A list is taken over part by part, and only at its end what it lacks is dropped: the pool never dips, and no part holds
up the event loop. A watch goes on from the last version seen, over broken connections too; only when the API server no
longer has that version (410) a new list is made.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault
from aibrix_mw.pods.kubernetes.answers import (
    Away,
    DiscoveryError,
    Gone,
    Malformed,
    Refused,
    api_status,
    object_meta,
    page,
    watch_event,
)
from aibrix_mw.pods.kubernetes.client import ApiServer, Query
from aibrix_mw.pods.kubernetes.namespaces import Pooled
from aibrix_mw.pods.manifest import read_pod
from aibrix_mw.pods.pod import PodInfo
from aibrix_mw.pods.wire import decode

logger = logging.getLogger("aibrix_mw")

# objects handled before other work gets its turn: about 30 µs each
_TURN = 50
_FIRST_WAIT = 0.1
_SHORT_WATCH = 1.0
_LIST_IDLE = 30.0


class Timing(msgspec.Struct, frozen=True):
    """Pace of a stream: `page_size` pods a page, `watch` the bounds of a watch's length, `idle` before it is dead."""

    page_size: int = 500
    watch: tuple[float, float] = (240.0, 300.0)
    idle: float = 150.0


class Backoff:
    """Growing waits with jitter."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.failures = 0

    def next(self, longest: float, at_least: float = 0.0) -> float:
        """Seconds until the next try."""
        wait = min(longest, _FIRST_WAIT * float(2 ** min(self.failures, 16)))
        self.failures += 1
        return max(wait * self.rng.uniform(0.5, 1.0), at_least)


class Stream:
    """The pods of one namespace (None: all) that match one label selector.

    `synced` says that the first list is in, and `on_synced` is told of it then; `age` is how long ago the watch was
    known to be good.
    """

    def __init__(
        self,
        api: ApiServer,
        pods: Pooled,
        namespace: str | None,
        selector: str,
        *,
        on_synced: Callable[[], object] = lambda: None,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.api = api
        self.pods = pods
        self.namespace = namespace
        self.selector = selector
        self.source = f"kubernetes/{namespace or '*'}/{selector}"
        self.on_synced = on_synced
        self.timing = timing
        self.rng = rng or random.Random()
        self.clock = clock
        self.sleep = sleep
        self.synced = False
        self.connected = False
        self.version: str | None = None
        self.errors = 0
        self.fault: Fault | None = None
        self._backoff = Backoff(self.rng)
        self._good = clock()

    def age(self) -> float:
        """Seconds since the watch was last known good; 0 while it is."""
        return 0.0 if self.connected else self.clock() - self._good

    async def run(self) -> None:
        """Keep in step; runs until cancelled."""
        while True:
            try:
                await self._follow()
            except DiscoveryError as error:
                await self._recover(error)
            except Exception as error:
                logger.exception("%s: discovery fails for a reason of its own", self.source)
                self.version = None
                await self._recover(Refused(0, f"{type(error).__name__}: {error}"))

    async def _follow(self) -> None:
        if self.version is None:
            await self._list()
        begun, before = self.clock(), self.version
        await self._watch()
        if self.version == before and self.clock() - begun < _SHORT_WATCH:
            await self.sleep(self._backoff.next(Away.longest_wait))

    async def _recover(self, error: DiscoveryError) -> None:
        if isinstance(error, Gone):
            logger.info("%s: %s; listing anew", self.source, error)
        else:
            self._failed(error)
        if isinstance(error, Gone | Malformed):
            self.version = None
        if isinstance(error, Refused) and error.status == 401:
            await self._refresh()
        await self.sleep(self._backoff.next(error.longest_wait, error.at_least))

    async def _refresh(self) -> None:
        try:
            await self.api.refresh()
        except ConfigurationError as error:
            self._failed(Refused(401, str(error)))

    def _failed(self, error: DiscoveryError) -> None:
        self.errors += 1
        self.connected = False
        fault = Fault(self.source, str(error))
        if fault != self.fault:
            logger.error("%s; pods stay as they were last known", fault)
        self.fault = fault

    def _alive(self) -> None:
        """The watch is there."""
        if self.fault is not None:
            logger.info("%s: watching again", self.source)
        self.fault = None
        self.connected = True
        self._good = self.clock()

    # --- list

    async def _list(self) -> None:
        try:
            self.version = await self._list_pages(self.timing.page_size)
        except Gone:
            # the next page's version was lost on the way: all in one is slow, and needs no second page
            self.version = await self._list_pages(0)
        if not self.synced:
            self.synced = True
            self.on_synced()
            logger.info("%s: in step", self.source)

    async def _list_pages(self, size: int) -> str:
        """Take over all pages; returns the version to watch from."""
        seen: set[str] = set()
        token = ""
        while True:
            query = [("labelSelector", self.selector), ("limit", str(size)), ("continue", token)]
            raw = await self.api.get(self.namespace, [(key, value) for key, value in query if value], idle=_LIST_IDLE)
            found = page(raw)
            items = found.items or []
            for start in range(0, len(items), _TURN):
                infos = [info for item in items[start : start + _TURN] if (info := self._read(item)) is not None]
                seen.update(info.uid for info in infos)
                self.pods.put(self.source, *infos)
                await asyncio.sleep(0)
            token = found.metadata.token
            if not token:
                break
        self.pods.retain(self.source, seen)
        return found.metadata.resource_version

    def _read(self, raw: msgspec.Raw) -> PodInfo | None:
        """A pod; None when it names no model, or cannot be read."""
        try:
            return read_pod(decode(raw))
        except ConfigurationError as error:
            self.errors += 1
            logger.warning("%s: a pod that cannot be read is left out: %s", self.source, error)
            return None

    # --- watch

    async def _watch(self) -> None:
        query: Query = (
            ("labelSelector", self.selector),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self.version or ""),
            # not all gateways at once
            ("timeoutSeconds", str(round(self.rng.uniform(*self.timing.watch)))),
        )
        rest = b""
        async with self.api.watch(self.namespace, query, idle=self.timing.idle) as chunks:
            self._alive()
            async for chunk in chunks:
                self._good = self.clock()
                *lines, rest = (rest + chunk).split(b"\n")
                await self._handle_all(lines)

    async def _handle_all(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            if line:
                self._handle(line)
                self._backoff.failures = 0
            if number % _TURN == 0:
                await asyncio.sleep(0)

    def _handle(self, line: bytes) -> None:
        event = watch_event(line)
        if event.type == "ERROR":
            status = api_status(event.object)
            raise Gone(status.message) if status.code == 410 else Refused(status.code, f"watch: {status.message}")
        meta = object_meta(event.object)
        if event.type != "BOOKMARK":
            info = self._read(event.object) if event.type != "DELETED" else None
            if info is None:
                self.pods.remove(self.source, meta.uid)
            else:
                self.pods.put(self.source, info)
        self.version = meta.resource_version
