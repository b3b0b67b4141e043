"""Which strategy for which workload: all of them, and the peers, on each one."""

from collections.abc import Callable, Sequence

from aibrix_mw.simulation.compare import capacity, compare
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet
from aibrix_mw.simulation.generators import WORKLOADS, Shape, chat
from aibrix_mw.simulation.table import as_text
from aibrix_mw.simulation.trace import Entry
from tests.experiments.promises import Promise, Report, against_peers, at_least, at_most, by_name

LOAD, SEEDS, SECONDS = 0.7, 3, 300.0
PEERS = ("cache-aware", "kv-cost")
KEPT = 0.3
"""Share of the live sessions whose KV fits into the fleet."""
CHAT_BLOCKS = 2400
"""KV blocks of an engine by which that share comes about; the experiment checks it."""


def shapes(rate: float) -> list[Shape]:
    """One workload a seed."""
    return [Shape(rate=rate, seconds=SECONDS, seed=seed) for seed in range(SEEDS)]


def kept_share(entries: Sequence[Entry], fleet: Fleet) -> float:
    """KV tokens of the fleet / tokens of the sessions that are between their first and their last turn.

    A session's tokens are those of its mean prompt; sampled at the middle of the workload.
    """
    sessions: dict[str, list[Entry]] = {}
    for entry in entries:
        sessions.setdefault(entry.session, []).append(entry)
    middle = entries[-1].arrival / 2
    live = [turns for turns in sessions.values() if turns[0].arrival <= middle <= turns[-1].arrival]
    tokens = sum(sum(size for entry in turns for _, size in entry.blocks) / len(turns) for turns in live)
    return sum(model.kv_blocks * model.block_tokens for model in fleet.engines) / tokens


def chatting() -> Report:
    """Multi-turn chat with shared system prompts, where caches are too small."""
    fleet = Fleet(engines=(EngineModel(kv_blocks=CHAT_BLOCKS),) * 8)
    rate = LOAD * capacity(fleet, chat)
    entries = [chat(shape) for shape in shapes(rate)]
    strategies = ("random", "power-of-two", "least-request", "least-latency", "session-affinity")
    results = compare((*strategies, "prefix-cache", "prefix-cache-preble", *PEERS), fleet, entries)
    found = by_name(results)
    ours, base = found["prefix-cache"], found["least-request"]
    kept = kept_share(entries[0], fleet)
    promises = [
        Promise("KV fits 30 % of the live sessions", f"{kept:.3f}", abs(kept - KEPT) < 0.05),
        at_least("prefix-cache, cache hits / those of least-request", ours.cache_hits / base.cache_hits, 1.5),
        at_most("prefix-cache, first token p95 against least-request", ours.first_p95, base.first_p95),
        at_most("prefix-cache, p99 of busiest / mean", ours.skew or 0.0, 2.0),
        *against_peers(found),
    ]
    return Report(f"multi-turn chat, {rate:.1f} requests/s", as_text(results), promises)


def nothing_shared(name: str) -> Callable[[], Report]:
    """An experiment on a workload whose prompts share nothing."""

    def run() -> Report:
        fleet = Fleet()
        rate = LOAD * capacity(fleet, WORKLOADS[name])
        entries = [WORKLOADS[name](shape) for shape in shapes(rate)]
        strategies = ("random", "power-of-two", "least-request", "least-latency", "throughput", "least-kv-cache")
        results = compare((*strategies, "least-busy-time", "prefix-cache", *PEERS), fleet, entries)
        found = by_name(results)
        ours, base = found["prefix-cache"].first_p95, found["least-request"].first_p95
        promises = [at_most("prefix-cache, first token p95 against least-request", ours, base), *against_peers(found)]
        return Report(f"{name}, {rate:.1f} requests/s", as_text(results), promises)

    return run
