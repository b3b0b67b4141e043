import pytest

from aibrix_mw.errors import UnknownStrategy
from aibrix_mw.simulation.compare import build, capacity, compare, mean, simulate
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Restart
from aibrix_mw.simulation.generators import Shape, batch
from aibrix_mw.simulation.peers import CacheAware
from aibrix_mw.strategies.prefix_cache import PrefixCache
from aibrix_mw.strategies.weighted import WeightedList

FLEET = Fleet(engines=(EngineModel(),) * 2, gateways=2)
WORKLOADS = [batch(Shape(rate=5.0, seconds=20.0, seed=seed)) for seed in range(2)]


def test_strategies_lists_and_peers_are_known_by_name():
    assert isinstance(build("prefix-cache"), PrefixCache)
    assert isinstance(build("least-request:2,prefix-cache:1"), WeightedList)
    assert isinstance(build("cache-aware"), CacheAware)
    with pytest.raises(UnknownStrategy):
        build("nonsense")


def test_all_strategies_get_the_same_requests():
    results = compare(("random", "least-request"), FLEET, WORKLOADS)
    assert [(result.strategy, result.seeds) for result in results] == [("random", 2), ("least-request", 2)]
    assert len({result.figures.requests for result in results}) == 1


def test_figures_are_means_over_the_seeds_of_what_counts():
    (result,) = compare(("least-request",), FLEET, WORKLOADS)
    runs = [simulate("least-request", FLEET, entries, seed=seed) for seed, entries in enumerate(WORKLOADS)]
    figures = [run.figures(0.2 * entries[-1].arrival) for run, entries in zip(runs, WORKLOADS, strict=True)]
    assert result.figures.first_p95 == pytest.approx(sum(one.first_p95 for one in figures) / 2)
    assert result.figures.requests == sum(one.requests for one in figures) < sum(map(len, WORKLOADS))


def test_a_figure_that_no_run_has_stays_unknown():
    (result,) = compare(("least-request",), Fleet(engines=(EngineModel(),) * 8), WORKLOADS[:1])
    assert result.figures.skew is None
    assert mean([result.figures]) == result.figures


def test_progress_goes_on_over_all_runs():
    heard = []
    compare(("random", "least-request"), FLEET, WORKLOADS, progress=heard.append)
    assert heard == list(range(1, 2 * sum(map(len, WORKLOADS)) + 1))


def test_kv_events_reach_the_peer_that_needs_them():
    (result,) = compare(("kv-cost",), FLEET, WORKLOADS[:1])
    assert result.figures.requests > 0


def test_capacity_grows_with_engines_and_speed():
    """One engine ends about 7 requests of this kind a second: 0.06 s of prefill, and 300 steps shared by its batch."""
    one = capacity(Fleet(engines=(EngineModel(),)), batch, seconds=60.0)
    restarts = (Restart(5.0, 0),)
    assert capacity(Fleet(engines=(EngineModel(),) * 2, restarts=restarts), batch, seconds=60.0) == pytest.approx(
        2 * one, rel=0.1
    )
    assert capacity(Fleet(engines=(EngineModel(speed=0.5),)), batch, seconds=60.0) == pytest.approx(one / 2, rel=0.15)
    assert 5.0 < one < 9.0
