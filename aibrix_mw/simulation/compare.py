"""Several strategies on the same workload, several seeds each."""

import time
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from aibrix_mw.simulation.fleet import Fleet, Simulation
from aibrix_mw.simulation.generators import Shape
from aibrix_mw.simulation.peers import PEERS, Insight
from aibrix_mw.simulation.records import Figures
from aibrix_mw.simulation.trace import Entry
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.catalogue import Catalogue

Generate = Callable[[Shape], list[Entry]]
Progress = Callable[[int], None]
WARM_UP = 0.2
"""Share of a workload's time that does not count: caches are empty there."""


class Result(msgspec.Struct, frozen=True):
    """The figures of one strategy: their means over the seeds."""

    strategy: str
    figures: Figures
    seeds: int


def build(
    strategy: str, *, seed: int = 0, clock: Callable[[], float] = time.monotonic, insight: Insight | None = None
) -> Strategy:
    """A strategy, a weighted list or a peer by name; UnknownStrategy when there is none."""
    catalogue = Catalogue(PEERS, rng=Random(seed), clock=clock)
    catalogue.preset("kv-cost", {"insight": insight})
    return catalogue.get(strategy)


def simulate(
    strategy: str, fleet: Fleet, entries: Sequence[Entry], *, seed: int = 0, progress: Progress = lambda ended: None
) -> Simulation:
    """Run a strategy over a workload."""

    def build_for(simulation: Simulation, number: int) -> Strategy:
        return build(strategy, seed=seed * 1000 + number, clock=simulation.loop, insight=simulation)

    simulation = Simulation(fleet, entries, build_for, seed=seed, progress=progress)
    simulation.run()
    return simulation


def compare(
    strategies: Sequence[str],
    fleet: Fleet,
    workloads: Sequence[Sequence[Entry]],
    *,
    progress: Progress = lambda ended: None,
) -> list[Result]:
    """Every strategy on every workload: one workload a seed, the same ones for all strategies.

    `progress` hears of each request that has ended how many have done so before it, over all runs.
    """
    results, done = [], 0
    for strategy in strategies:
        runs = []
        for seed, entries in enumerate(workloads):
            simulation = simulate(strategy, fleet, entries, seed=seed, progress=_after(done, progress))
            done += len(entries)
            runs.append(simulation.figures(WARM_UP * entries[-1].arrival))
        results.append(Result(strategy, mean(runs), len(runs)))
    return results


def _after(done: int, progress: Progress) -> Progress:
    return lambda ended: progress(done + ended)


def capacity(fleet: Fleet, generate: Generate, *, seconds: float = 120.0) -> float:
    """Requests a second that the fleet ends when more of them come than it can do, under `least-request`.

    The first quarter of the time does not count, nor does what ends after the last arrival.
    """
    fleet = msgspec.structs.replace(fleet, restarts=())
    asked = 2.0 * len(fleet.engines)
    ended = asked
    while ended > 0.7 * asked:
        asked *= 2
        entries = generate(Shape(rate=asked, seconds=seconds, seed=0))
        records = simulate("least-request", fleet, entries).records
        ended = sum(1 for record in records if seconds / 4 <= record.ended < seconds) / (0.75 * seconds)
    return ended


def mean(runs: Sequence[Figures]) -> Figures:
    """Each figure's mean over the runs that have it."""
    means = {}
    for name in Figures.__struct_fields__:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        means[name] = sum(values) / len(values) if values else None
    means["requests"] = sum(run.requests for run in runs)
    return msgspec.convert(means, Figures)
