"""The waiting room: where requests wait, for a short time, until a pod can take them."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from aibrix_mw.errors import Draining, GatewayError, InflightExceeded, NoReadyPods
from aibrix_mw.strategies.plan import Plan

FULL = (NoReadyPods, InflightExceeded)
"""What one may wait for the end of; any other refusal stays one."""

INTERVAL = 0.01
"""Seconds between two looks while somebody waits: what frees a pod is leases that end, other gateways, discovery."""
PLACED_WITHIN = 1.0
"""Seconds after which a request that may go and has no pod yet keeps nobody waiting any more."""


class Waiter:
    """One request: how its plan is made, whether it has come to its pod, and what it is refused with in the end."""

    __slots__ = ("error", "future", "kind", "placed", "plan", "until")

    def __init__(self, plan: Callable[[], Plan], kind: Hashable, placed: Callable[[], bool]) -> None:
        self.plan = plan
        self.kind = kind
        self.placed = placed
        self.error: GatewayError | None = None
        self.until = 0.0
        self.future: asyncio.Future[Plan] = asyncio.get_running_loop().create_future()


class WaitingRoom:
    """Up to `size` requests of each model, first come, first served, each for `deadline` seconds at most.

    A request that no pod can take lets those behind it pass whose `kind` differs: another filter, another profile.
    Pods with a bound on requests get them one at a time, so that none is told to go where another one already goes.
    """

    def __init__(self, size: int, deadline: float) -> None:
        self.size = size
        self.deadline = deadline
        self._queues: dict[str, deque[Waiter]] = {}
        self._going: dict[str, Waiter] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_ahead(self, model: str) -> bool:
        """Whether anybody is before a request that comes now."""
        return model in self._queues or self._is_going(model)

    async def wait(self, model: str, waiter: Waiter, error: GatewayError | None = None) -> Plan:
        """The plan, when a pod can take the request.

        `error` is why none can now, None when only others are before it. It is raised, or what became of it, where the
        room is full, or at the deadline.
        """
        queue = self._queues.setdefault(model, deque())
        waiter.error = error or (queue[0].error if queue else NoReadyPods(model))
        if len(queue) >= self.size:
            raise waiter.error or NoReadyPods(model)
        loop = asyncio.get_running_loop()
        waiter.until = loop.time() + self.deadline
        queue.append(waiter)
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL, self._look)
        try:
            return await waiter.future
        finally:
            self._leave(model, waiter)

    def close(self) -> None:
        """Refuse all who wait: the gateway ends."""
        for model in list(self._queues):
            for waiter in list(self._queues[model]):
                self._end(model, waiter, Draining())

    def _look(self) -> None:
        self._timer = None
        for model in list(self._queues):
            self._serve(model)
        if self._queues:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _serve(self, model: str) -> None:
        """Refuse whose time is over, and let go whoever can."""
        loop = asyncio.get_running_loop()
        full: set[Hashable] = set()
        for waiter in list(self._queues.get(model, ())):
            if waiter.until <= loop.time():
                self._end(model, waiter, waiter.error or NoReadyPods(model))
            elif waiter.kind not in full and not self._is_going(model) and not self._lets_go(model, waiter):
                full.add(waiter.kind)
        if model in self._queues and model in self._going:
            loop.call_soon(self._follow, model)  # by then the one that goes has its pod, unless a store is asked

    def _follow(self, model: str) -> None:
        if not self._is_going(model):
            self._serve(model)

    def _lets_go(self, model: str, waiter: Waiter) -> bool:
        try:
            plan = waiter.plan()
        except FULL as error:
            waiter.error = error
            return False
        except GatewayError as error:
            self._end(model, waiter, error)
            return True
        self._leave(model, waiter)
        waiter.future.set_result(plan)
        if plan.max_in_flight:
            waiter.until = asyncio.get_running_loop().time() + PLACED_WITHIN
            self._going[model] = waiter
        return True

    def _is_going(self, model: str) -> bool:
        """Whether somebody that may go has no pod yet."""
        waiter = self._going.get(model)
        if waiter is None:
            return False
        if waiter.placed() or waiter.until <= asyncio.get_running_loop().time():
            del self._going[model]
            return False
        return True

    def _end(self, model: str, waiter: Waiter, error: GatewayError) -> None:
        self._leave(model, waiter)
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def _leave(self, model: str, waiter: Waiter) -> None:
        queue = self._queues.get(model)
        if queue is None:
            return
        if waiter in queue:
            queue.remove(waiter)
        if not queue:
            del self._queues[model]
