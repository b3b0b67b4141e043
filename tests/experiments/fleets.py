"""Fleets that are not even: a user who takes more than others, a slow engine, engines that restart."""

from aibrix_mw.simulation.compare import WARM_UP, capacity, compare, simulate
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Simulation
from aibrix_mw.simulation.generators import Shape, abusive, batch, chat
from aibrix_mw.simulation.records import percentile
from aibrix_mw.simulation.study import RESTART_EVERY, SLOW, rolling
from aibrix_mw.simulation.table import as_text
from tests.experiments.promises import Report, against_peers, at_least, at_most, by_name
from tests.experiments.workloads import LOAD, PEERS, SECONDS, SEEDS, shapes

ENGINES = 8
USERS, FACTOR = 10, 10.0
ABUSED = ("vtc-basic", "random", "least-request", "prefix-cache", *PEERS)
RISE = 1.2
"""How much the others' p95 may rise at most under `vtc-basic`, and does at least under `random`."""


def abuse() -> Report:
    """One of eleven users sends ten times the tokens of another, on four engines."""
    fleet = Fleet(engines=(EngineModel(),) * 4)
    rate = LOAD * capacity(fleet, abusive)
    lines, rises = [f"{'strategy':<16}{'others alone':>14}{'with the abuser':>17}{'rise':>7}"], {}
    for strategy in ABUSED:
        alone = _others(strategy, fleet, rate * USERS / (USERS + FACTOR), 0.0)
        disturbed = _others(strategy, fleet, rate, FACTOR)
        rises[strategy] = disturbed / alone
        lines.append(f"{strategy:<16}{alone:>14.3f}{disturbed:>17.3f}{rises[strategy]:>7.2f}")
    promises = [
        at_most("vtc-basic, rise of the others' first token p95", rises["vtc-basic"], RISE),
        at_least("random, rise of the others' first token p95", rises["random"], RISE),
    ]
    return Report(f"abusive user, {rate:.1f} requests/s", "\n".join(lines), promises)


def _others(strategy: str, fleet: Fleet, rate: float, factor: float) -> float:
    """First token p95 of all but the abuser, mean over the seeds; seconds."""
    values = []
    for shape in shapes(rate):
        records = simulate(strategy, fleet, abusive(shape, users=USERS, factor=factor), seed=shape.seed).records
        counted = [r.wait for r in records if r.user != "abusive" and r.arrived >= WARM_UP * SECONDS]
        values.append(percentile(counted, 0.95))
    return sum(values) / SEEDS


def uneven() -> Report:
    """One of eight engines at half speed."""
    fleet = Fleet(engines=(*(EngineModel(),) * (ENGINES - 1), EngineModel(speed=SLOW)))
    tables, promises = [], []
    for name, generate in (("batch", batch), ("chat", chat)):
        rate = LOAD * capacity(fleet, generate)
        strategies = ("random", "power-of-two", "least-request", "least-latency", "prefix-cache", *PEERS)
        results = compare(strategies, fleet, [generate(shape) for shape in shapes(rate)])
        tables.append(f"{name}, {rate:.1f} requests/s\n{as_text(results)}")
        found = by_name(results)
        promises += [
            at_most(f"{name}: least-latency, first token p95 against {other}", ours, found[other].first_p95)
            for other in ("random", "least-request")
            for ours in [found["least-latency"].first_p95]
        ]
        promises += against_peers(found)
    return Report(f"one engine of {ENGINES} at half speed", "\n\n".join(tables), promises)


def restarting() -> Report:
    """Engines are replaced one after the other."""
    seconds = ENGINES * RESTART_EVERY / (1.0 - WARM_UP)
    fleet = Fleet(engines=(EngineModel(),) * ENGINES, restarts=rolling(ENGINES, seconds))
    rate = LOAD * capacity(fleet, chat)
    lines, promises = [f"{'strategy':<16}{'largest share x n, by 5 s since Ready':>40}{'first token p95':>17}"], []
    for strategy in ("least-request", "least-latency", "prefix-cache", *PEERS):
        runs = [
            simulate(strategy, fleet, chat(Shape(rate=rate, seconds=seconds, seed=s)), seed=s) for s in range(SEEDS)
        ]
        shares = [max(share_of_new(run, index) for run in runs) for index in range(6)]
        wait = sum(run.figures(WARM_UP * seconds).first_p95 for run in runs) / SEEDS
        lines.append(f"{strategy:<16}{' '.join(f'{share:.2f}' for share in shares):>40}{wait:>17.3f}")
        promises.append(at_most(f"{strategy}, share of a new pod x n in any 5 s of its first 30", max(shares), 1.0))
    return Report(f"rolling restart of {ENGINES} engines, {rate:.1f} requests/s", "\n".join(lines), promises)


def share_of_new(run: Simulation, index: int) -> float:
    """The largest share of picks x number of pods that a new pod had in the 5 s number `index` of its life."""
    largest = 0.0
    for uid, ready in run.ready_at.items():
        begin = ready + 5.0 * index
        picks = [pick for pick in run.picks if begin <= pick.time < begin + 5.0] if ready > 0 else []
        if picks:
            largest = max(largest, sum(pick.engine == uid for pick in picks) / len(picks) * picks[0].among)
    return largest
