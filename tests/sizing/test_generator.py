"""The generator on a loop whose time jumps, and as the process that it is."""

import asyncio
import math
from itertools import repeat

import pytest

from aibrix_mw.engine.sim import EngineOptions, create_engine
from aibrix_mw.sizing import process
from aibrix_mw.sizing.client import Client, Patience
from aibrix_mw.sizing.failures import SizingError
from aibrix_mw.sizing.generator import carry_out
from aibrix_mw.sizing.orders import Alone, Load, Setup
from aibrix_mw.sizing.process import Generator
from aibrix_mw.sizing.schedule import Plan
from aibrix_mw.sizing.target import parse_target
from aibrix_mw.sizing.verdict import Bounds, judge
from aibrix_mw.sizing.workload import Workload
from tests.serving import listening
from tests.sizing.test_stream import CHAT
from tests.support import FakeAnswer, FakeUpstream
from tests.virtual_time import VirtualLoop, in_virtual_time

PATIENCE = Patience(answer=10.0, silence=5.0)
PLAN = Plan(20.0, 1.0, 10.0, 1.0)
LOAD = Load(PLAN, Bounds(0.5, 0.1), PATIENCE, drain=5.0, seed=3)
ALONE = Alone(5, 60.0, PATIENCE)


class SlowAnswer(FakeAnswer):
    """Begins after some seconds, and takes as long between two events."""

    def __init__(self, first, then=0.0):
        super().__init__(*CHAT)
        self.waits = [first, *repeat(then, len(CHAT) - 1)]

    async def read(self):
        if self.waits:
            await asyncio.sleep(self.waits.pop(0))
        return await super().read()


def generate(order, answer, bodies=None):
    """Carry out an order in virtual time, against answers that a function makes."""
    told = []

    async def run():
        client = Client(FakeUpstream(lambda _request: answer()), parse_target("http://h:1", "chat"), loop_time())
        return await carry_out(order, client, bodies or repeat(b"{}"), told.append)

    return in_virtual_time(run()), told


def loop_time():
    return asyncio.get_running_loop().time


def test_requests_leave_when_they_are_due_whatever_became_of_those_before():
    step, told = generate(LOAD, lambda: SlowAnswer(2.0))
    assert step.stopped == "late"
    step, told = generate(Load(PLAN, Bounds(), PATIENCE, drain=5.0), lambda: SlowAnswer(2.0))
    assert step.stopped is None
    assert sum(PLAN.counts(record.due) for record in step.records) == PLAN.requests
    assert all(record.sent == pytest.approx(record.due, abs=1e-6) for record in step.records)
    assert max(progress.in_flight for progress in told) > 30
    assert step.punctuality.late_p95 == pytest.approx(0.0, abs=1e-6)
    assert [record.error for record in step.counted()] == [""] * PLAN.requests


def test_what_is_under_way_at_the_end_is_cut():
    step, _ = generate(LOAD, lambda: SlowAnswer(0.3))
    assert {record.error for record in step.records} <= {"", "unfinished"}
    assert judge([step], LOAD.bounds).sustainable


def test_single_requests_one_after_the_other():
    step, told = generate(ALONE, lambda: SlowAnswer(0.5, 0.1))
    assert [record.sent for record in step.records] == pytest.approx([1.1 * number for number in range(5)])
    assert [progress.ended for progress in told] == [1, 2, 3, 4, 5]


def test_single_requests_have_an_end():
    step, _ = generate(Alone(100, 3.0, PATIENCE), lambda: SlowAnswer(1.0))
    assert len(step.records) == 3


def test_the_first_body_is_made_before_the_step_begins():
    made = []

    def bodies():
        while True:
            made.append(loop_time()())
            yield b"{}"

    step, _ = generate(LOAD, lambda: SlowAnswer(0.1), bodies())
    assert made[0] == 0.0
    assert len(made) == max(len(step.records), 1)


def test_nothing_will_ever_happen_is_an_error_in_virtual_time():
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        in_virtual_time(asyncio.Event().wait())
    assert issubclass(VirtualLoop, asyncio.AbstractEventLoop)


# --- the process


@pytest.fixture
async def url():
    fast = EngineOptions(models=("m",), prefill_tokens_per_second=math.inf, decode_tokens_per_second=1000.0)
    async with listening(create_engine(fast)) as url:
        yield url


def setup(url):
    return Setup(parse_target(url, "chat"), Workload("m", prompt_tokens=30, output_tokens=3, bytes_per_token=4.0))


async def test_orders_are_carried_out_by_a_process_of_its_own(url):
    def use():
        told = []
        with Generator(setup(url)) as generator:
            alone = generator.run(ALONE, told.append)
            plan = Plan(30.0, 0.1, 0.6)
            load = generator.run(Load(plan, Bounds(5.0, 5.0), PATIENCE, drain=5.0), told.append)
        return alone, load, told

    alone, load, told = await asyncio.to_thread(use)
    assert [(record.error, record.tokens) for record in alone.records] == [("", 3)] * 5
    assert [(record.error, record.tokens) for record in load.counted()] == [("", 3)] * 18
    assert len(told) >= 6
    assert load.punctuality.cpu > 0


@pytest.mark.parametrize("before", [True, False])
def test_a_generator_that_ends_by_itself(before):
    with Generator(setup("http://127.0.0.1:1")) as generator:
        if before:
            generator.kill()
            generator._process.wait()
        with pytest.raises(SizingError, match="the load generator ended by itself with status -9"):
            generator.run(Alone(1_000_000, 60.0, PATIENCE), lambda _: generator.kill())


def test_a_generator_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(process, "_SECONDS_TO_END", 0.0)
    with Generator(setup("http://127.0.0.1:1")) as generator:
        pass
    assert generator._process.returncode == -9
