"""The whole simulation, small enough to be fast: what it does with requests, restarts and scrapes."""

from random import Random

import pytest

from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Restart, Simulation
from aibrix_mw.simulation.generators import Shape, batch, chat
from aibrix_mw.simulation.trace import Entry
from aibrix_mw.strategies.base import Strategy
from aibrix_mw.strategies.least_request import LeastRequest
from aibrix_mw.strategies.random import Random as AnyPod

SMALL = Fleet(engines=(EngineModel(),) * 3, gateways=2)


def run(entries, fleet=SMALL, strategy=LeastRequest, **options):
    simulation = Simulation(fleet, entries, lambda sim, n: strategy(Random(n), clock=sim.loop), **options)
    simulation.run()
    return simulation


class Watching(LeastRequest):
    """Least-request that notes what pods tell, and hears of ends."""

    needs = frozenset({"running", "generation_tokens_rate", "prefill_seconds"})

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.reports, self.outcomes, self.left = [], [], []

    def pick(self, request, pods, /):
        self.reports += [(self.clock(), pod.metrics) for pod in pods]
        return super().pick(request, pods)

    def observe(self, request, target, outcome, /):
        self.outcomes.append(outcome)

    def forget(self, pod, /):
        self.left.append(pod.uid)


def test_every_request_ends_once_and_everything_is_let_go():
    entries = batch(Shape(rate=10.0, seconds=30.0))
    heard = []
    simulation = run(entries, progress=heard.append)
    assert heard == list(range(1, len(entries) + 1))
    assert sorted(record.prompt for record in simulation.records) == sorted(entry.blocks[0][1] for entry in entries)
    assert all(record.arrived < record.first < record.ended for record in simulation.records)
    assert all(pod.in_flight == 0 for gateway in simulation.gateways for pod in gateway.pods())
    assert all(pod.outstanding_tokens == 0 for gateway in simulation.gateways for pod in gateway.pods())
    assert all(engine.in_flight == 0 for engine in simulation.engines.values())
    assert {record.gateway for record in simulation.records} == {0, 1}


def test_the_same_seed_gives_the_same_run():
    entries = chat(Shape(rate=6.0, seconds=30.0))
    assert run(entries).records == run(entries).records
    assert run(entries).records != run(entries, seed=1).records


def test_a_turn_waits_for_the_answer_before():
    first = Entry(0.0, 100, blocks=(("q", 100),), session="s")
    second = Entry(0.1, 100, blocks=(("q", 100), ("p", 50)), session="s")
    one, other = run([first, second]).records
    assert other.arrived == one.ended


def test_requests_without_a_session_do_not_wait():
    one, other = run([Entry(0.0, 100, text="a" * 99), Entry(0.1, 100, text="b" * 99)]).records
    assert other.arrived == 0.1 < one.ended


def test_replicas_do_not_share_what_they_know():
    """Each of two gateways spreads its own requests, and knows nothing of those of the other."""
    entries = [Entry(number / 1000, 200, text=f"{number:04}" * 50) for number in range(60)]
    simulation = run(entries)
    counts = [[0] * 3 for _ in range(2)]
    for record in simulation.records:
        counts[record.gateway][int(record.engine[7])] += 1
    assert all(max(own) - min(own) <= 1 for own in counts)


def test_samples_show_the_busiest_and_the_mean():
    simulation = run(batch(Shape(rate=10.0, seconds=30.0)))
    assert [sample.time for sample in simulation.samples] == [
        float(second) for second in range(len(simulation.samples))
    ]
    assert all(sample.busiest >= sample.mean for sample in simulation.samples)
    assert max(sample.mean for sample in simulation.samples) > 1


def test_figures_of_a_part_of_the_time():
    simulation = run(batch(Shape(rate=10.0, seconds=30.0)))
    late = [record for record in simulation.records if record.arrived >= 15.0]
    assert simulation.figures(15.0).requests == len(late) < simulation.figures().requests
    assert 0 < simulation.figures().busy <= 1


def test_pods_tell_what_their_engines_do_after_a_delay():
    simulation = run(batch(Shape(rate=10.0, seconds=30.0)), strategy=Watching)
    reports = [report for gateway in simulation.gateways for report in gateway.strategy.reports]
    assert all(report is None or report.expires > now for now, report in reports)
    assert all(report is not None for now, report in reports if now > 1.1)
    late = [report for now, report in reports if now > 20]
    assert all(report.running >= 0 and report.generation_tokens_rate > 0 for report in late)
    assert late[-1].prefill_seconds == pytest.approx(2e-4, rel=0.5)


def test_strategies_that_need_no_metrics_get_none():
    simulation = run(batch(Shape(rate=10.0, seconds=10.0)))
    assert all(pod.metrics is None for gateway in simulation.gateways for pod in gateway.pods())


def test_strategies_hear_how_requests_end():
    simulation = run([Entry(0.0, 100, text="a" * 400)], strategy=Watching)
    (outcome,) = [outcome for gateway in simulation.gateways for outcome in gateway.strategy.outcomes]
    assert (outcome.name, outcome.prompt_tokens, outcome.completion_tokens) == ("ok", 100, 100)
    assert (outcome.sent, outcome.first_byte) == (0.0, pytest.approx(0.022))
    assert outcome.last_byte == pytest.approx(0.022 + 99 * 0.0121)


def test_pods_are_as_fast_as_gateways_see_them():
    simulation = run([Entry(0.0, 100, text="a" * 398)])
    (pod,) = [pod for g in simulation.gateways for pod in g.pods() if pod.latency.first_token.read(2.0) is not None]
    assert pod.latency.first_token.read(0.022) == pytest.approx(0.022 / 100)
    assert pod.latency.output_token.read(simulation.loop.now) == pytest.approx(0.0121)


def test_a_restart_replaces_an_engine_by_an_empty_one():
    fleet = Fleet(engines=(EngineModel(),) * 3, gateways=2, restarts=(Restart(10.0, 1),))
    simulation = run(batch(Shape(rate=20.0, seconds=60.0)), fleet, Watching)
    old = [pick.time for pick in simulation.picks if pick.engine == "engine-1-0"]
    new = [pick.time for pick in simulation.picks if pick.engine == "engine-1-1"]
    assert max(old) < 10.0 <= min(new)
    assert simulation.ready_at["engine-1-1"] == 10.0
    assert {pick.among for pick in simulation.picks} == {3}
    assert all(gateway.strategy.left == ["engine-1-0"] for gateway in simulation.gateways)
    assert len(simulation.records) == len(simulation.picks)


def test_a_new_pod_starts_slowly():
    fleet = Fleet(engines=(EngineModel(),) * 3, gateways=2, restarts=(Restart(10.0, 1),))
    simulation = run(batch(Shape(rate=20.0, seconds=60.0)), fleet, AnyPod)

    def share(begin, end):
        picks = [pick.engine for pick in simulation.picks if begin <= pick.time < end]
        return picks.count("engine-1-1") / len(picks)

    assert share(10.0, 15.0) < 0.15
    assert share(40.0, 60.0) == pytest.approx(1 / 3, abs=0.08)


def test_a_slow_engine_answers_slowly():
    fleet = Fleet(engines=(EngineModel(), EngineModel(speed=0.5)), gateways=1)
    simulation = run(batch(Shape(rate=1.0, seconds=60.0)), fleet, AnyPod)
    speeds = {"engine-0-0": [], "engine-1-0": []}
    for record in simulation.records:
        speeds[record.engine].append((record.ended - record.first) / record.output)
    assert min(speeds["engine-1-0"]) > 1.5 * max(speeds["engine-0-0"]) / 1.2


def test_engines_with_unequal_blocks_are_refused():
    with pytest.raises(ValueError, match="unpack"):
        Simulation(Fleet(engines=(EngineModel(), EngineModel(block_tokens=32))), [], lambda sim, n: Strategy())


def test_nothing_to_do():
    assert run([]).records == []
