"""The experiments run, on less than takes minutes; what they find is not judged here."""

import pytest

from aibrix_mw.simulation.compare import simulate
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Restart
from aibrix_mw.simulation.generators import Shape, batch
from aibrix_mw.simulation.trace import Entry
from tests.experiments import __main__ as program
from tests.experiments import fleets, legs, workloads
from tests.experiments.promises import Promise, Report, at_least, at_most, lines


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (workloads, fleets):
        monkeypatch.setattr(module, "SECONDS", 8.0)
        monkeypatch.setattr(module, "SEEDS", 1)
    for module in (workloads, fleets, legs):
        monkeypatch.setattr(module, "capacity", lambda fleet, generate: 4.0)


@pytest.mark.parametrize("name", ["chat", "bursty", "abusive", "uneven", "disaggregated"])
def test_experiment(name):
    report = program.EXPERIMENTS[name]()
    assert len(report.table.splitlines()) > 3
    assert report.promises


def test_restarting(monkeypatch):
    monkeypatch.setattr(fleets, "ENGINES", 2)
    report = fleets.restarting()
    assert [len(line.split()) for line in report.table.splitlines()[1:]] == [8] * 5
    assert len(report.promises) == 5


def test_promises():
    promises = [at_most("a", 1.0, 2.0), at_least("b", 1.0, 2.0), at_most("c", 3.0, 2.0, held=False)]
    assert lines(promises) == [
        "kept: a: 1.000, at most 2.000",
        "BROKEN: b: 1.000, at least 2.000",
        "not so: c: 3.000, at most 2.000",
    ]


def test_a_broken_promise_is_counted(monkeypatch, capsys):
    promises = [Promise("a", "1", kept=False), Promise("b", "1", kept=False, held=False), Promise("c", "1", kept=True)]
    monkeypatch.setattr(program, "EXPERIMENTS", {"one": lambda: Report("title", "table", promises)})
    assert program.main([]) == program.main(["one"]) == 1
    assert "BROKEN: a: 1" in capsys.readouterr().out


def test_kept_share():
    """Two sessions live in the middle, of 1000 tokens in the mean: 2 engines of 50 blocks of 16 tokens keep 80 %."""
    entries = [
        Entry(0.0, 1, blocks=(("a", 500),), session="a"),
        Entry(1.0, 1, blocks=(("b", 1000),), session="b"),
        Entry(2.0, 1, blocks=(("c", 9000),), session="c"),
        Entry(6.0, 1, blocks=(("b", 1000),), session="b"),
        Entry(9.0, 1, blocks=(("a", 1500),), session="a"),
        Entry(10.0, 1, blocks=(("d", 1000),), session="d"),
    ]
    assert workloads.kept_share(entries, Fleet(engines=(EngineModel(kv_blocks=50),) * 2)) == pytest.approx(0.8)


def test_share_of_a_new_pod():
    fleet = Fleet(engines=(EngineModel(),) * 2, gateways=1, restarts=(Restart(10.0, 0),))
    run = simulate("least-request", fleet, batch(Shape(rate=8.0, seconds=20.0)))
    picks = [pick.engine for pick in run.picks if 10.0 <= pick.time < 15.0]
    assert fleets.share_of_new(run, 0) == pytest.approx(2 * picks.count("engine-0-1") / len(picks))
    assert fleets.share_of_new(run, 5) == 0.0
