"""What `aibrix-mw simulate` does: a fleet, a workload at a load, some strategies, some seeds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from aibrix_mw.errors import ConfigurationError, Fault, UnknownStrategy
from aibrix_mw.simulation.compare import WARM_UP, Progress, Result, build, capacity, compare
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Restart
from aibrix_mw.simulation.generators import WORKLOADS, Shape
from aibrix_mw.simulation.trace import Entry, read_trace

SLOW = 0.5
"""Speed of a slow engine."""
RESTART_EVERY = 35.0
"""Seconds from one engine's restart to the next: a little more than the slow start of the new one."""


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """The options.

    `load` is the share of the fleet's capacity under `least-request`, unless `rate` says it in requests a second;
    `prefill` engines are prefill pods and the others decode pods, for strategies that ask; by default half of them
    where one of the strategies is `pd`. `trace` is a file that stands in for the workload, its load and its seeds.
    """

    strategies: Sequence[str]
    workload: str = "chat"
    trace: Path | None = None
    engines: int = 8
    slow: int = 0
    prefill: int | None = None
    gateways: int = 3
    kv_blocks: int = 4096
    load: float = 0.7
    rate: float | None = None
    seconds: float = 300.0
    seeds: int = 3
    seed: int = 0

    def check(self) -> None:
        """ConfigurationError names each option that makes no sense."""
        faults = [Fault(f"--{name.replace('_', '-')}", reason) for name, reason in self._faults()]
        if faults:
            raise ConfigurationError(faults)

    def _faults(self) -> Iterator[tuple[str, str]]:
        for name in ("engines", "gateways", "kv_blocks", "seconds", "seeds", "load"):
            if not getattr(self, name) > 0:
                yield name, "more than 0"
        if self.rate is not None and not self.rate > 0:
            yield "rate", "more than 0"
        if not 0 <= self.slow <= self.engines:
            yield "slow", "from 0 to the number of engines"
        if self.prefill is not None and not 0 <= self.prefill < self.engines:
            yield "prefill", "from 0 to less than the number of engines"
        if self.workload not in WORKLOADS:
            yield "workload", f"is none of {', '.join(WORKLOADS)}"
        for strategy in self.strategies:
            try:
                build(strategy)
            except UnknownStrategy as error:
                yield "strategy", str(error)

    def title(self, workloads: Sequence[Sequence[Entry]]) -> str:
        """What was simulated, in a line."""
        requests = sum(map(len, workloads)) / len(workloads)
        name = self.workload if self.trace is None else self.trace.name
        rate = requests / workloads[0][-1].arrival
        return (
            f"{name}: {requests:.0f} requests at {rate:.1f} a second, engines {self.engines}"
            + (f" ({self.slow} at half speed)" if self.slow else "")
            + (f" ({self.prefills} prefill)" if self.prefills else "")
            + f", gateways {self.gateways}, seeds {len(workloads)}"
        )

    @property
    def prefills(self) -> int:
        """How many engines are prefill pods."""
        if self.prefill is not None:
            return self.prefill
        return self.engines // 2 if "pd" in self.strategies else 0

    def fleet(self) -> Fleet:
        """The engines, the slow ones last, and for the workload `restart` when each restarts."""
        fast = EngineModel(kv_blocks=self.kv_blocks)
        slow = msgspec.structs.replace(fast, speed=SLOW)
        engines = (fast,) * (self.engines - self.slow) + (slow,) * self.slow
        restarts = rolling(self.engines, self.seconds) if self.workload == "restart" else ()
        return Fleet(engines=engines, gateways=self.gateways, restarts=restarts, prefills=self.prefills)

    def workloads(self) -> list[list[Entry]]:
        """The requests, one list a seed."""
        if self.trace is not None:
            return [read_trace(self.trace)]
        generate = WORKLOADS[self.workload]
        rate = self.rate or self.load * capacity(self.fleet(), generate)
        shapes = [Shape(rate=rate, seconds=self.seconds, seed=self.seed + number) for number in range(self.seeds)]
        found = [generate(shape) for shape in shapes]
        if not all(found):
            raise ConfigurationError([Fault("", f"no request arrives in {self.seconds} s at {rate:.3g} a second")])
        return found

    def run(self, workloads: Sequence[Sequence[Entry]], progress: Progress = lambda ended: None) -> list[Result]:
        """The figures, strategy by strategy; ConfigurationError when a request fits into no engine."""
        try:
            return compare(self.strategies, self.fleet(), workloads, progress=progress)
        except ValueError as error:
            raise ConfigurationError([Fault("", str(error))]) from error


def rolling(engines: int, seconds: float) -> tuple[Restart, ...]:
    """One engine after the other, once caches are warm, as far as the time goes."""
    begin = WARM_UP * seconds
    times = [begin + number * RESTART_EVERY for number in range(engines)]
    return tuple(Restart(time, number) for number, time in enumerate(times) if time < seconds)
