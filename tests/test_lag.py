"""Event-loop lag: sampled, not timed; a stall is no overload."""

import asyncio
import gc
import time

import pytest

from aibrix_mw.lag import QUIET, LoopLag, working_time
from aibrix_mw.lifecycle import Lifecycle
from tests.support import Clock, Running, settle


class Late:
    """A clock whose sleeps take longer than asked for, by what the test says."""

    def __init__(self, *lags, works=False):
        self.clock = Clock()
        self.lags = list(lags)
        self.busy = self.clock if works else lambda: 0.0
        self.seen = []

    async def sleep(self, seconds):
        if not self.lags:
            raise asyncio.CancelledError
        self.clock.now += seconds + self.lags.pop(0)

    async def run(self, largest=0.25):
        lifecycle = Lifecycle()
        lag = LoopLag(lifecycle, largest, clock=self.clock, sleep=self.sleep, busy=self.busy)
        judge = lag.see

        def see(*sample):
            judge(*sample)
            self.seen.append(lifecycle.lagging)

        lag.see = see
        await asyncio.gather(lag.run(), return_exceptions=True)
        return lifecycle, lag


async def test_f41_two_late_samples_in_a_row():
    late = Late(0.0, 0.3, 0.3, 0.26, 0.25, 0.3, 0.0, 0.3)
    lifecycle, _ = await late.run()
    assert late.seen == [False, False, True, True, False, False, False, False]
    assert not lifecycle.lagging  # nor after the end


async def test_f41_one_late_sample_for_which_the_loop_itself_is_to_blame():
    late = Late(0.0, 0.3, 0.0, 0.2, 0.26, works=True)
    await late.run()
    assert late.seen == [False, True, False, False, True]


async def test_samples_are_as_rare_as_they_may_be():
    _, lag = await Late().run()
    assert lag.interval == 0.05
    assert LoopLag(Lifecycle(), 0.001).interval == 0.01


async def test_one_line_tells_of_many_turns(log):
    late = Late(*[1.0] * 5, QUIET, 1.0)
    await late.run()
    assert len(log()) == 2


async def test_f41_a_gateway_sheds_while_it_lags():
    async with Running() as running:
        running.gateway.lifecycle.lagging = True
        reply = await running.ask()
        assert (reply.status, reply.header("retry-after")) == (503, b"2")
        assert reply.json()["error"]["message"] == "the gateway has more to do than it can"
        assert (await running.ask(b"", "/readyz", method="GET")).status == 200
        assert await running.outcomes() == {("_unknown", "", "503", "overloaded"): 1}
        running.gateway.lifecycle.lagging = False
        assert (await running.ask()).status == 200


async def test_f41_a_running_gateway_samples_its_own_loop():
    loop = asyncio.get_running_loop()
    async with Running(limits={"max_loop_lag": 0.001}) as running:
        lifecycle = running.gateway.lifecycle
        async with asyncio.timeout(10):
            while not lifecycle.lagging:
                until = loop.time() + 0.02
                while loop.time() < until:
                    pass
                await settle(1)
    assert not lifecycle.lagging


async def test_a_search_for_garbage_is_no_work():
    with working_time() as working:
        many = [[] for _ in range(200_000)]
        before, whole = working(), time.thread_time()
        gc.collect()
        assert time.thread_time() - whole > 4 * (working() - before)
        before, whole = working(), time.thread_time()
        gc.collect(1)
        many.sort()
        assert working() - before == pytest.approx(time.thread_time() - whole, abs=0.01)
    assert not [callback for callback in gc.callbacks if callback.__module__ == working_time.__module__]
