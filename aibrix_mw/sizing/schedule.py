"""When requests leave."""

from random import Random

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """One step of load: `rate` requests a second, for `warm_up`, `measured` and `cool_down` seconds in this order.

    Only requests due in the measured part count; the cool-down keeps up the load until they have been answered.
    """

    rate: float
    warm_up: float
    measured: float
    cool_down: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first to the last instant at which a request may be due."""
        return self.warm_up + self.measured + self.cool_down

    @property
    def requests(self) -> int:
        """How many requests count: at least 1."""
        return max(round(self.rate * self.measured), 1)

    def counts(self, due: float) -> bool:
        """Whether a request that is due then counts."""
        return self.warm_up <= due < self.warm_up + self.measured


def arrivals(plan: Plan, rng: Random) -> list[float]:
    """The instants in seconds since the step's start, ascending.

    A Poisson process given its number of events: these are then independent and uniform (Ross, *Introduction to
    Probability Models*, theorem 5.2). So each part has exactly the planned rate; otherwise the rate of a step of 600
    requests would itself vary by 4 %.
    """
    instants: list[float] = []
    begin = 0.0
    around = [(seconds, round(plan.rate * seconds)) for seconds in (plan.warm_up, plan.cool_down)]
    for seconds, count in (around[0], (plan.measured, plan.requests), around[1]):
        instants += sorted(begin + rng.random() * seconds for _ in range(count))
        begin += seconds
    return instants
