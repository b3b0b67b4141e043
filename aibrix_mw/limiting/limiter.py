"""What middlewares ask: may this request pass, and take back what it did not use.

The file is long because whoever asks, the trip under way and what holds while the store is away share one state.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from aibrix_mw.errors import StoreRefused
from aibrix_mw.limiting.breaker import Breaker
from aibrix_mw.limiting.memory import MemoryWindows
from aibrix_mw.limiting.quota import Hit, Quota, Quotas
from aibrix_mw.limiting.redis import Gift, RedisWindows, Taken

OnStoreError = Literal["local", "open", "refuse"]

_CONSEQUENCES = {
    "local": ": counting in this process, with its share of each limit",
    "open": ": nothing is limited",
    "refuse": ": limited requests are refused",
}
_FEW = 1024

Verdict = asyncio.Future[Hit]


class Limiter:
    """Counts in this process: every verdict is there at once.

    The interface that `SharedLimiter` has too: ask `take_now`, and where that is None, await `take`.
    """

    shared = False
    store_errors = 0

    def __init__(self, windows: MemoryWindows) -> None:
        self.windows = windows
        self.on_trip: Callable[[float], None] = lambda _: None

    @property
    def away(self) -> str | None:
        """Why a configured store is not asked; None when it is, or when there is none."""
        return None

    def take_now(self, quotas: Quotas) -> Hit | None:
        """Take one hit of every quota or of none, if that takes no waiting; None when it does."""
        return self.windows.take(quotas)

    async def take(self, quotas: Quotas) -> Hit:
        """Take one hit of every quota, or of none. StoreRefused where a store is away and that is the policy."""
        return self.windows.take(quotas)

    async def give(self, hit: Hit, amounts: Sequence[int] | None = None) -> None:
        """Give back a hit that was taken, into its own windows, down to 0; a window that has closed gets nothing.

        `amounts`, one a quota, give back a part: 0 gives nothing, a negative amount takes more without asking.
        """
        for gift in _gifts(hit, amounts):
            self.windows.give(*gift)

    async def start(self) -> None:
        """Make ready; a limiter also works without."""

    async def aclose(self) -> None:
        """Let go of connections; the limiter can be started again."""


class SharedLimiter:
    """Counts in a store that all replicas share, at one trip at a time.

    What is asked while a trip is under way, or in one turn of the event loop, goes with the next trip together. What a
    trip has found full is refused without asking until its window ends. No request waits longer than `timeout`
    seconds; for those whose trip fails, and for all while the store is away (breaker.py), `on_error` decides:

    local   count in this process, with the limit ceil(limit / live_gateways())
    open    let pass
    refuse  StoreRefused

    `store_errors` counts the verdicts without the store; `on_trip` hears the seconds that each trip took.
    """

    shared = True

    def __init__(
        self,
        windows: RedisWindows,
        local: MemoryWindows,
        *,
        on_error: OnStoreError = "local",
        timeout: float = 0.05,
        live_gateways: Callable[[], int] = lambda: 1,
        on_trip: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.windows = windows
        self.local = local
        self.on_error = on_error
        self.timeout = timeout
        self.live_gateways = live_gateways
        self.on_trip = on_trip
        self.clock = clock
        self.breaker = Breaker(windows.check, timeout=timeout, consequence=_CONSEQUENCES[on_error], sleep=sleep)
        self.store_errors = 0
        self._full: dict[str, tuple[float, int]] = {}  # name -> until when at least how many are taken
        self._waiting: defaultdict[Quotas, list[Verdict]] = defaultdict(list)
        self._gifts: list[Gift] = []
        self._given: asyncio.Future[None] | None = None
        self._oldest = 0.0
        self._worker: asyncio.Task[None] | None = None

    @property
    def away(self) -> str | None:
        """Why the store is not asked; None when it is."""
        return self.breaker.away

    def take_now(self, quotas: Quotas) -> Hit | None:
        """Give the verdict if it takes no trip to the store; None when it does."""
        if self.breaker.away is not None:
            return self._decide_alone(quotas)
        return self._known_full(quotas) if self._full else None

    def take(self, quotas: Quotas) -> Awaitable[Hit]:
        """Take one hit of every quota, or of none. StoreRefused where the store fails and that is the policy."""
        if not self._waiting:
            self._oldest = self.clock()
        verdict: Verdict = asyncio.get_running_loop().create_future()
        self._waiting[quotas].append(verdict)
        self._work()
        return verdict

    async def give(self, hit: Hit, amounts: Sequence[int] | None = None) -> None:
        """Give back a hit that was taken, as `Limiter.give` does; what the store does not hear is lost."""
        if hit.counter is self.local:
            for gift in _gifts(hit, amounts):
                self.local.give(*gift)
        elif self.breaker.away is None and (gifts := _gifts(hit, amounts)):
            await asyncio.shield(self._give(gifts))

    async def start(self) -> None:
        """Look whether the store is there, so that the first request need not."""
        await self.breaker.start()

    async def aclose(self) -> None:
        """Close connections, after the trip that is under way; the limiter can be started again."""
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await self.breaker.aclose()
        await self.windows.aclose()

    # --- trips

    def _give(self, gifts: Sequence[Gift]) -> asyncio.Future[None]:
        """Have it go with the next trip; done when that trip is over."""
        for gift in gifts:
            self._full.pop(gift.quota.name, None)
        self._gifts += gifts
        if self._given is None:
            self._given = asyncio.get_running_loop().create_future()
        self._work()
        return self._given

    def _work(self) -> None:
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._make_trips())

    async def _make_trips(self) -> None:
        try:
            while self._waiting or self._gifts:
                waiting, self._waiting = self._waiting, defaultdict(list)
                gifts, self._gifts = self._gifts, []
                given, self._given = self._given, None
                if self.breaker.away is None:
                    await self._trip(waiting, gifts)
                else:
                    self._decide_for(waiting)
                if given is not None:
                    given.set_result(None)
        finally:
            self._worker = None

    async def _trip(self, waiting: dict[Quotas, list[Verdict]], gifts: list[Gift]) -> None:
        groups = [(quotas, len(verdicts)) for quotas, verdicts in waiting.items()]
        sent = self.clock()
        waited = sent - self._oldest if groups else 0.0
        try:
            async with asyncio.timeout(self.timeout - waited):
                if gifts:
                    await self.windows.give(gifts)
                taken = await self.windows.take(groups) if groups else []
        except Exception as error:  # noqa: BLE001 - whatever a client library raises, requests need a verdict
            self.breaker.failed(error)
            self._decide_for(waiting)
        else:
            self.breaker.succeeded()
            for (quotas, verdicts), result in zip(waiting.items(), taken, strict=True):
                self._tell(quotas, verdicts, result, sent)
        self.on_trip(self.clock() - sent)

    def _tell(self, quotas: Quotas, verdicts: list[Verdict], result: Taken, sent: float) -> None:
        """Give each of those who asked together its own verdict, first come, first served."""
        rooms = [(q.limit - count) // q.cost for q, count in zip(quotas, result.counts, strict=True)]
        room = min(rooms)
        at = rooms.index(room)
        tightest = quotas[at]
        reset = (result.windows[at] + 1) * tightest.per - result.now
        taken = result.taken
        for verdict in verdicts:
            if verdict.done():  # whoever asked has left
                continue
            if taken > 0:
                taken, room = taken - 1, room - 1
                verdict.set_result(Hit(quotas, None, tightest, room, reset, result.windows, self.windows))
            else:
                self._remember(tightest, result.counts[at] + result.taken * tightest.cost, sent + reset)
                verdict.set_result(Hit(quotas, tightest, tightest, 0, reset))
        if taken > 0:
            windows = zip(quotas, result.windows, strict=True)
            self._give([Gift(quota, window, taken * quota.cost) for quota, window in windows])

    # --- without a trip

    def _remember(self, quota: Quota, count: int, until: float) -> None:
        if len(self._full) >= _FEW:
            now = self.clock()
            self._full = {name: known for name, known in self._full.items() if known[0] > now}
        self._full[quota.name] = (until, count)

    def _known_full(self, quotas: Quotas) -> Hit | None:
        """Refuse what cannot pass: the count of a window only falls by what is given back here."""
        for quota in quotas:
            known = self._full.get(quota.name)
            if known is None:
                continue
            left = known[0] - self.clock()
            if left <= 0:
                del self._full[quota.name]
            elif known[1] + quota.cost > quota.limit:
                return Hit(quotas, quota, quota, 0, left)
        return None

    def _decide_alone(self, quotas: Quotas) -> Hit:
        self.store_errors += 1
        if self.on_error == "refuse":
            raise StoreRefused
        if self.on_error == "open":
            return Hit(quotas)
        gateways = max(1, self.live_gateways())
        return self.local.take(quotas if gateways == 1 else tuple(share_of(quota, gateways) for quota in quotas))

    def _decide_for(self, waiting: dict[Quotas, list[Verdict]]) -> None:
        """Give a verdict to everybody whose trip has failed."""
        for quotas, verdicts in waiting.items():
            for verdict in verdicts:
                if verdict.done():
                    continue
                try:
                    verdict.set_result(self._decide_alone(quotas))
                except StoreRefused as error:
                    verdict.set_exception(error)


def share_of(quota: Quota, gateways: int) -> Quota:
    """One gateway's share of a limit; a hit that costs more than that takes all of it."""
    limit = math.ceil(quota.limit / gateways)
    return msgspec.structs.replace(quota, limit=limit, cost=min(quota.cost, limit))


def _gifts(hit: Hit, amounts: Sequence[int] | None) -> list[Gift]:
    if not hit.windows:
        return []
    given = amounts if amounts is not None else [quota.cost for quota in hit.quotas]
    return [Gift(q, window, n) for q, window, n in zip(hit.quotas, hit.windows, given, strict=True) if n]
