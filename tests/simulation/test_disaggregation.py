"""Prefill and decode engines in the simulation."""

import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.simulation.compare import simulate
from aibrix_mw.simulation.content import content_of
from aibrix_mw.simulation.engine import EngineModel
from aibrix_mw.simulation.fleet import Fleet, Restart
from aibrix_mw.simulation.generators import Shape, batch, long_prompt
from aibrix_mw.simulation.study import Study
from aibrix_mw.simulation.trace import Entry

HALVES = Fleet(engines=(EngineModel(),) * 4, gateways=2, prefills=2)


def test_every_request_ends_once_and_everything_is_let_go():
    entries = batch(Shape(rate=6.0, seconds=30.0))
    run = simulate("pd", HALVES, entries)
    assert len(run.records) == len(entries)
    assert {record.engine for record in run.records} == {"engine-2-0", "engine-3-0"}
    assert all(run.engines[f"engine-{number}-0"].counters.generated for number in range(4))
    assert all(pod.in_flight == 0 for gateway in run.gateways for pod in gateway.pods())
    assert all(pod.outstanding_tokens == 0 for gateway in run.gateways for pod in gateway.pods())
    assert all(engine.in_flight == 0 for engine in run.engines.values())


def test_one_request_takes_prefill_transfer_and_decode():
    model = EngineModel()
    entry = Entry(1.0, 3, blocks=(("a", 1000),), session="a")
    fleet = Fleet(engines=(model,) * 2, gateways=1, prefills=1, transfer_seconds=1e-3)
    (record,) = simulate("pd", fleet, [entry]).records
    prompt = content_of(entry, model.block_tokens).prompt_tokens
    prefill = model.step_seconds + model.prefill_seconds * prompt
    last_token = model.step_seconds + model.prefill_seconds
    assert record.first == pytest.approx(1.0 + prefill + 1e-3 * prompt + last_token)
    assert record.ended == pytest.approx(record.first + 2 * (model.step_seconds + model.decode_seconds))
    assert record.arrived == 1.0
    assert record.per_token == pytest.approx(model.step_seconds + model.decode_seconds)


def test_a_single_token_has_no_time_per_token():
    (record,) = simulate("pd", HALVES, [Entry(0.0, 1, blocks=(("a", 100),), session="a")]).records
    assert record.per_token is None


def test_prefix_caches_of_prefill_engines_are_used():
    entries = [Entry(float(at), 2, blocks=(("same", 2000),), session=f"s{at}") for at in range(5)]
    run = simulate("pd", Fleet(engines=(EngineModel(),) * 4, gateways=1, prefills=2), entries)
    assert [record.cached > 1900 for record in run.records] == [False, True, True, True, True]


def test_restarts_of_both_roles():
    fleet = Fleet(engines=(EngineModel(),) * 4, gateways=2, prefills=2, restarts=(Restart(5.0, 0), Restart(12.0, 3)))
    entries = batch(Shape(rate=6.0, seconds=30.0))
    run = simulate("pd", fleet, entries)
    assert len(run.records) == len(entries)
    assert {pod.uid for gateway in run.gateways for pod in gateway.pods()} == {
        "engine-0-1",
        "engine-1-0",
        "engine-2-0",
        "engine-3-1",
    }


def test_other_strategies_use_every_engine():
    run = simulate("least-request", HALVES, batch(Shape(rate=6.0, seconds=30.0)))
    assert len({record.engine for record in run.records}) == 4


def test_time_per_token_on_long_prompts():
    """The point of it: no decode step waits for somebody's prompt."""
    fleet = Fleet(engines=(EngineModel(),) * 8, prefills=5)
    entries = long_prompt(Shape(rate=8.0, seconds=60.0))
    ours, theirs = (simulate(name, fleet, entries).figures(12.0) for name in ("pd", "least-request"))
    assert ours.token_p99 < 0.6 * theirs.token_p99


@pytest.mark.parametrize(("prefill", "expected"), [(None, 4), (0, 0), (3, 3)])
def test_options(prefill, expected):
    study = Study(strategies=("pd", "least-request"), prefill=prefill)
    study.check()
    assert study.fleet().prefills == expected
    assert Study(strategies=("least-request",)).fleet().prefills == 0


@pytest.mark.parametrize("prefill", [-1, 8])
def test_impossible_options(prefill):
    with pytest.raises(ConfigurationError, match="--prefill"):
        Study(strategies=("pd",), prefill=prefill).check()
