"""Virtual time: events in the order of their instants."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Loop:
    """The events that are due, and the clock: calling the loop gives the time in seconds since the start."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()  # events of one instant happen in the order in which they were made

    def __call__(self) -> float:
        """Seconds since the start."""
        return self.now

    def at(self, time: float, call: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
        """Call at an instant; one that is past counts as now."""
        heappush(self._due, (max(time, self.now), next(self._order), call, args))

    def run(self) -> None:
        """Let everything happen that is due, and what comes of it."""
        while self._due:
            self.now, _, call, args = heappop(self._due)
            call(*args)
